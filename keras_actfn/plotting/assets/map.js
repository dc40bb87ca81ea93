// Shows the card of the function that the pointer or a tap is at, and the view that is chosen.
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

  const views = document.getElementById("{plot_id}-view");
  if (!views) return;
  function choose() {
    const chosen = views.selectedIndex;
    Plotly.restyle(plot, { visible: plot.data.map((trace) => trace.meta === chosen) });
  }
  function follow() {
    const wanted = decodeURIComponent(location.hash.slice(1));
    const found = [...views.options].findIndex((option) => option.text === wanted);
    if (found >= 0) views.selectedIndex = found;
    choose();
  }
  views.addEventListener("change", choose);
  window.addEventListener("hashchange", follow);
  follow();
})();
