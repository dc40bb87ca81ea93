// Shows the card of the function that the pointer or a tap is at.
(function () {
  const plot = document.getElementById("{plot_id}");
  const cards = JSON.parse(document.getElementById("{plot_id}-cards").textContent);
  function show(event) {
    const number = event.points[0].customdata;
    if (number === undefined || number === null) return;
    document.getElementById("{plot_id}-card").innerHTML = cards[number];
  }
  plot.on("plotly_hover", show);
  plot.on("plotly_click", show);
})();
