r"""AQuaSurF's Figures 2, 3 and 4 on the atlas: what the pictures are said to show, in numbers.

    KERAS_BACKEND=torch python benchmarks/aquasurf_figures.py \
        --output benchmarks/aquasurf_figures.txt --maps maps.png --pairs pairs.png

The paper trained 2,913 functions on three image tasks and describes scatter plots and maps of
them in words. The atlas has eight tasks with 200 to 2,412 functions each; see the text that the
command prints for what is measured. `--maps` draws the paper's Figure 4 for the three tasks on
Fashion-MNIST, `--pairs` its Figure 2. With another number of threads UMAP's layouts differ
a little, and the differences of means in the third digit.

Needs: pip install "keras-actfn[search,plot]".
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from keras_actfn import search
from keras_actfn._files import write_file
from keras_actfn.expressions import parse
from keras_actfn.plotting import save_figure
from keras_actfn.search.embedding import embed, prepare_outputs
from keras_actfn.training import paired_difference
from keras_actfn.training.results import in_columns

FEATURES = ("spectra", "outputs", "union")
SEEDS = (0, 1, 2)
NEIGHBORS = 3  # the paper's KNR, weighted by distance
FEWEST = 10  # functions of a kind that a number needs
#: Figure 3: the known functions between which others are made up.
CORNERS = ("relu(x)", "swish(x)", "tanh(x)", "elu(x)")
STEPS = 5


def rows_of(bench):
    """The functions that were trained and that the search would not leave out."""
    return np.flatnonzero(bench.valid & np.isfinite(bench.score))


def learns(bench):
    """Which functions were trained and end above chance."""
    known = np.isfinite(bench.score)
    return known & (bench.score > bench._floor(bench.score[known]))


def shared(first, second):
    """Scores in two tasks, (functions, 2), of the functions that learn in both."""
    scores = [
        dict(zip(np.array(bench.functions)[learns(bench)], bench.score[learns(bench)], strict=True))
        for bench in (first, second)
    ]
    return np.array([[scores[0][f], scores[1][f]] for f in scores[0] if f in scores[1]])


def across_tasks(benches):
    """Figure 2: the order of one task's functions in another, and where its best ones stand."""
    names = [bench.name for bench in benches]
    order, best, found, medians = [], [], {}, []
    for first in benches:
        cells, places = [first.name], [first.name]
        for second in benches:
            if first is second:
                cells.append("—")
                places.append("—")
                continue
            scores = shared(first, second)
            rank = stats.spearmanr(*scores.T)
            found[frozenset((first.name, second.name))] = rank
            cells.append(f"{rank.statistic:+.2f} ({len(scores)})")
            top = np.argsort(-scores[:, 0])[:10]
            below = stats.rankdata(scores[:, 1])[top] / len(scores)
            medians.append(np.median(below))
            places.append(f"{100 * medians[-1]:.0f}")
        order.append(cells)
        best.append(places)
    clear = [rank.statistic for rank in found.values() if rank.pvalue < 0.05 / len(found)]
    return (
        "Figure 2. Spearman's correlation of the scores in two tasks, over the functions that "
        "learn in both (their number).\n\n"
        f"{in_columns(['', *names], order)}\n\n"
        f"Of {len(found)} pairs {len(clear)} differ from zero at 5 %, Bonferroni's correction "
        f"applied; of these {sum(value > 0 for value in clear)} are positive.\n\n"
        "Figure 2. The ten best functions of the row's task: the per cent of functions that their "
        "median is not below in the\ncolumn's task; 50 by chance.\n\n"
        f"{in_columns(['', *names], best)}\n\n"
        f"Above the middle in {sum(value > 0.5 for value in medians)} of {len(medians)}."
    )


def maps(bench, rows):
    """Coordinates of the functions by features and seed, {(features, seed): (functions, 2)}."""
    return {
        (kind, seed): embed(
            bench.outputs[rows], bench.cdfs[rows], weights=bench.weights, method=kind, seed=seed
        )
        for kind in FEATURES
        for seed in SEEDS
    }


def foretold(coordinates, score):
    """Spearman's correlation of the scores with what three neighbours foretell, ten folds."""
    folds = KFold(10, shuffle=True, random_state=0)
    model = KNeighborsRegressor(NEIGHBORS, weights="distance")
    ranks = stats.rankdata(score)
    return stats.spearmanr(cross_val_predict(model, coordinates, ranks, cv=folds), ranks).statistic


def failure_foretold(coordinates, failed):
    """Area under the ROC curve of the share of failures among the neighbours, ten folds."""
    folds = KFold(10, shuffle=True, random_state=0)
    model = KNeighborsClassifier(NEIGHBORS, weights="distance")
    share = cross_val_predict(model, coordinates, failed, cv=folds, method="predict_proba")
    return roc_auc_score(failed, share[:, 1])


def neighbourhoods(benches, found):
    """Figure 4: how well a map's neighbours foretell a function's score, and its failure."""
    scores, failures, paired = [], [], {kind: [] for kind in FEATURES}
    for bench in benches:
        rows = rows_of(bench)
        cells, areas, failed = [bench.name, f"{len(rows):,}"], [], ~learns(bench)[rows]
        clear = min(failed.sum(), (~failed).sum()) >= FEWEST
        for kind in FEATURES:
            by_seed = [found[bench.name][kind, seed] for seed in SEEDS]
            values = [foretold(places, bench.score[rows]) for places in by_seed]
            paired[kind].append(np.mean(values))
            cells.append(f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}")
            if clear:
                values = [failure_foretold(places, failed) for places in by_seed]
                areas.append(f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}")
        scores.append(cells)
        if clear:
            failures.append([bench.name, str(failed.sum()), *areas])
    compared = (("union", "spectra"), ("union", "outputs"), ("outputs", "spectra"))
    lines = [f"{a} − {b} {difference(paired[a], paired[b])}" for a, b in compared]
    return (
        f"Figure 4. Spearman's correlation of the scores with what the {NEIGHBORS} nearest "
        "functions of the map foretell (the paper's\nKNR, ten folds). Mean ± sample standard "
        f"deviation over {len(SEEDS)} layouts by UMAP.\n\n"
        f"{in_columns(['task', 'functions', *FEATURES], scores)}\n\n"
        f"Means over {len(benches)} tasks: "
        f"{', '.join(f'{kind} {np.mean(paired[kind]):.2f}' for kind in FEATURES)}; "
        "differences with 95 % Student-t intervals:\n"
        f"{'; '.join(lines)}.\n\n"
        "Figure 4. Area under the ROC curve of failures foretold by the same neighbours, where "
        f"at least {FEWEST} functions fail.\n\n"
        f"{in_columns(['task', 'failures', *FEATURES], failures)}"
    )


def difference(first, second):
    """The mean of paired differences with its 95 % interval, as text."""
    mean, low, high = paired_difference(first, second)
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def negatives(bench, rows):
    """Pairs of rows of a function and its negative, (pairs, 2)."""
    outputs = bench.outputs[rows]
    place = {row.round(4).tobytes(): i for i, row in enumerate(outputs + 0.0)}
    pairs = ((i, place.get((-row + 0.0).round(4).tobytes())) for i, row in enumerate(outputs))
    return np.array([(i, j) for i, j in pairs if j is not None and i < j])


def of_opposite_sign(bench, coordinates):
    """Figure 4, triangles: how near a function's negative is, by features."""
    rows = rows_of(bench)
    pairs = negatives(bench, rows)
    body = []
    for kind in FEATURES:
        near = []
        for seed in SEEDS:
            distances = cdist(coordinates[kind, seed][pairs[:, 0]], coordinates[kind, seed])
            own = distances[np.arange(len(pairs)), pairs[:, 1]]
            nearer = (distances < own[:, None]).sum(axis=1) - (own > 0)  # but for the function
            near.append(100 * np.median(nearer) / (len(rows) - 2))
        body.append([kind, str(len(pairs)), f"{np.mean(near):.1f} ± {np.std(near, ddof=1):.1f}"])
    headings = ["features", "pairs", "others nearer than the negative (%, median)"]
    return (
        f"Figure 4, {bench.name}. A function and its negative train alike; how many others are "
        f"nearer.\n\n{in_columns(headings, body)}"
    )


def interpolated(bench):
    """Figure 3: functions that UMAP makes up between four known ones."""
    import umap

    x = np.linspace(-5, 5, 80)
    with np.errstate(all="ignore"):
        values = np.array([np.broadcast_to(parse(text)(x), x.shape) for text in bench.functions])
        known = np.isfinite(values.astype("float32")).all(1)
    table = prepare_outputs(values[known])
    names = [text for text, kept in zip(bench.functions, known, strict=True) if kept]
    corner = [names.index(bench.functions[bench.index(text)]) for text in CORNERS]
    body = []
    for seed in SEEDS:
        model = umap.UMAP(n_neighbors=15, min_dist=0.1, random_state=seed, n_jobs=1).fit(table)
        places = model.embedding_[corner]
        back = model.inverse_transform(places)
        ends = rms(table[corner][:, None] - table[corner][None])
        body.append([str(seed), f"{rms(back - table[corner]).max() / ends.max():.3f}"])
        for i, j in itertools.combinations(range(len(CORNERS)), 2):
            share = np.linspace(0, 1, STEPS)[:, None]
            path = model.inverse_transform((1 - share) * places[i] + share * places[j])
            length = rms(np.diff(path, axis=0)).sum()
            body[-1].append(f"{length / rms(path[-1] - path[0]):.2f}")
    pairs = [
        f"{first.split('(')[0]}–{second.split('(')[0]}"
        for first, second in itertools.combinations(CORNERS, 2)
    ]
    return (
        f"Figure 3, {len(table):,} functions as arcsinh of 80 values on [-5, 5]. 'back': the "
        "largest error of the four functions put through\nthe map and back, relative to the "
        "largest distance between two of them. Then the length of the path of made-up\nfunctions "
        f"({STEPS} points of a straight line in the map) over the distance of its ends: 1 if it "
        "goes straight.\n\n"
        f"{in_columns(['layout', 'back', *pairs], body)}"
    )


def rms(difference):
    """Root mean square over the last axis."""
    return np.sqrt((difference**2).mean(axis=-1))


def draw_maps(benches, found):
    """The paper's Figure 4: features in rows, tasks in columns; the best functions on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(benches), 8.4), layout="constrained")
    panels = figure.subplots(len(FEATURES), len(benches), squeeze=False)
    for column, bench in zip(panels.T, benches, strict=True):
        rows = rows_of(bench)
        order = np.argsort(bench.score[rows])
        for axes, kind in zip(column, FEATURES, strict=True):
            points = axes.scatter(
                *found[bench.name][kind, 0][order].T,
                c=stats.rankdata(bench.score[rows])[order] / len(rows),
                s=4,
            )
            axes.set(xticks=[], yticks=[], title=f"{bench.name}, {kind}")
    figure.colorbar(points, ax=panels, label="rank of the validation score", shrink=0.5)
    return figure


def draw_pairs(benches):
    """The paper's Figure 2: each pair of tasks as a scatter plot."""
    from matplotlib.figure import Figure

    pairs = list(itertools.combinations(benches, 2))
    figure = Figure(figsize=(3 * len(pairs), 3), layout="constrained")
    for axes, (first, second) in zip(figure.subplots(1, len(pairs)), pairs, strict=True):
        axes.scatter(*shared(first, second).T, s=4)
        axes.set(xlabel=first.name, ylabel=second.name)
    return figure


def main():
    """Print the tables and draw what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="file for the tables")
    parser.add_argument("--maps", type=Path, help="picture of Figure 4")
    parser.add_argument("--pairs", type=Path, help="picture of Figure 2")
    args = parser.parse_args()
    benches = [search.bench(name) for name in search.bench_names()]
    with_spectra = [bench for bench in benches if bench.cdfs.shape[1]]
    found = {bench.name: maps(bench, rows_of(bench)) for bench in with_spectra}
    largest = max(with_spectra, key=len)
    text = "\n\n".join(
        [
            across_tasks(benches),
            interpolated(largest),
            neighbourhoods(with_spectra, found),
            of_opposite_sign(largest, found[largest.name]),
        ]
    )
    print(text)
    if args.output:
        write_file(args.output, text + "\n")
    images = [bench for bench in with_spectra if bench.name.startswith("fashion")]
    if args.maps:
        save_figure(draw_maps(images, found), args.maps)
    if args.pairs:
        save_figure(draw_pairs(images), args.pairs)


if __name__ == "__main__":
    main()
