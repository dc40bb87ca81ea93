"""CSV and Parquet files of the user's own."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes

from keras_actfn.datasets import load, read_table

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
N = 60
#: A column of each kind, and targets.
FRAME = pd.DataFrame(
    {
        "size": RNG.normal(50, 20, N),
        "rooms": RNG.integers(1, 6, N),
        "town": RNG.choice(["Kiel", "Bonn", "Trier"], N),
        "garden": RNG.random(N) < 0.5,
        "price": RNG.normal(300, 50, N),
        "sold": RNG.choice(["no", "yes"], N, p=[0.7, 0.3]),
    }
)


def write(path, frame=FRAME):
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_features_by_the_statistics_of_the_training_rows(tmp_path, ending):
    path = write(tmp_path / f"houses.{ending}")
    data = load(str(path), target="price", drop=["sold"], seed=2)
    assert (data.problem, data.classes, data.outputs) == ("regression", 0, 1)
    assert data.feature_names == (
        *("size", "rooms", "garden", "town_Bonn", "town_Kiel", "town_Trier"),
    )
    assert data.x_train.shape == (48, 6) and data.x_test.shape == (12, 6)
    assert data.x_train.dtype == data.y_train.dtype == np.float32
    # Where the rows went is seen from their target, which is unique.
    for x, y in data.parts().values():
        price = data.in_target_units(y)
        rows = np.abs(price[:, None] - FRAME["price"].to_numpy()).argmin(1)
        np.testing.assert_allclose(price, FRAME["price"].iloc[rows], rtol=1e-6)
        if y is data.y_train:
            train = FRAME.iloc[rows]
            np.testing.assert_allclose(data.target_mean, train["price"].mean())
            np.testing.assert_allclose(data.target_std, train["price"].std(ddof=0))
        expected = [
            (FRAME[c].iloc[rows] - train[c].mean()) / train[c].std(ddof=0)
            for c in ("size", "rooms")
        ]
        expected += [FRAME["garden"].iloc[rows]]
        expected += [FRAME["town"].iloc[rows] == town for town in ("Bonn", "Kiel", "Trier")]
        np.testing.assert_allclose(x, np.stack(expected, 1).astype(float), rtol=1e-5, atol=1e-6)


def test_classes_keep_their_names_and_shares(tmp_path):
    data = read_table(write(tmp_path / "houses.csv"), "sold")
    assert data.problem == "classification" and data.class_names == ("no", "yes")
    sold = (FRAME["sold"] == "yes").sum()
    assert data.y_train.sum() + data.y_test.sum() == sold
    assert data.y_test.sum() == round(0.2 * sold)
    assert len(data.y_test) == round(0.2 * sold) + round(0.2 * (N - sold))
    again = read_table(tmp_path / "houses.csv", "sold", seed=1)
    assert not np.array_equal(again.x_test, data.x_test)


def test_preprocessing_takes_new_rows(tmp_path):
    data = read_table(write(tmp_path / "houses.csv"), "price", drop=["sold"])
    new = pd.DataFrame({"size": [50.0], "rooms": [3], "town": ["Köln"], "garden": [True]})
    row = data.preprocessing.transform(new)
    assert row.shape == (1, 6) and row[0, 2] == 1
    np.testing.assert_array_equal(row[0, 3:], 0)  # no training row is of that town


def test_diabetes_of_scikit_learn(tmp_path):
    frame = load_diabetes(as_frame=True, scaled=False).frame
    data = read_table(write(tmp_path / "diabetes.csv", frame), "target")
    assert data.problem == "regression" and data.x_train.shape == (354, 10)
    targets = data.in_target_units(np.concatenate([data.y_train, data.y_test]))
    np.testing.assert_allclose(np.sort(targets), np.sort(frame["target"]), rtol=1e-5)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_empty_cells(tmp_path, ending):
    frame = FRAME.drop(columns="sold").astype({"garden": "boolean", "rooms": "Int64"})
    frame.loc[:9, ["size"]] = np.nan
    frame.loc[10:19, ["rooms", "town", "garden"]] = pd.NA
    path = write(tmp_path / f"a.{ending}", frame)
    message = r"'size' \(10\), 'rooms' \(10\), 'town' \(10\), 'garden' \(10\) of 60 rows.*--missing"
    with pytest.raises(ValueError, match=message):
        read_table(path, "price")
    data = read_table(path, "price", missing="impute")
    x = np.concatenate([data.x_train, data.x_test])
    names = list(data.feature_names)
    assert names[:4] == ["size", "rooms", "missingindicator_size", "missingindicator_rooms"]
    assert {"garden", "missingindicator_garden", "town_missing"} <= set(names)
    column = dict(zip(names, x.T, strict=True))
    train = {name: values[:48] for name, values in column.items()}
    for name in ("size", "rooms", "garden"):
        marked = column[f"missingindicator_{name}"] == 1
        assert marked.sum() == 10
        present = train[name][train[f"missingindicator_{name}"] == 0]
        np.testing.assert_allclose(column[name][marked], np.median(present), atol=1e-6)
    np.testing.assert_array_equal(column["town_missing"], column["missingindicator_garden"])
    # The standard deviation is that of the values that are there.
    np.testing.assert_allclose(train["size"][train["missingindicator_size"] == 0].std(), 1, 1e-5)
    with pytest.raises(ValueError, match="Did you mean 'impute'"):
        read_table(path, "price", missing="imputed")


def test_names_that_two_features_would_have(tmp_path):
    data = read_table(
        write(tmp_path / "a.csv", FRAME.assign(town_Kiel=1.5)), "price", drop=["sold"]
    )
    assert {"number__town_Kiel", "text__town_Kiel"} <= set(data.feature_names)


def test_other_delimiters_and_a_byte_order_mark(tmp_path):
    FRAME.to_csv(tmp_path / "a.csv", index=False, sep=";", encoding="utf-8-sig")
    with pytest.raises(ValueError, match=r"with semicolons in it. .*--delimiter ';'"):
        read_table(tmp_path / "a.csv", "size")
    for delimiter in ("", ";;"):
        with pytest.raises(ValueError, match="A delimiter is one character"):
            read_table(tmp_path / "a.csv", "size", delimiter=delimiter)
    data = read_table(tmp_path / "a.csv", "size", delimiter=";", drop=["sold"])
    assert data.feature_names[0] == "rooms"


@pytest.mark.parametrize(
    ("values", "problem", "found"),
    [
        (np.arange(N) % 3, None, "classification"),
        (np.arange(N) % 2 == 0, None, "classification"),
        (RNG.normal(size=N), None, "regression"),
        (np.arange(N) % 7 + 3, "regression", "regression"),
        (np.arange(N) % 7 + 3, "classification", "classification"),
        (np.arange(N) % 2 / 1.0, "classification", "classification"),
        (pd.Categorical(["b", "a"] * 30), None, "classification"),
        ([decimal.Decimal(i) / 7 for i in range(N)], None, "regression"),
    ],
)
def test_what_the_target_says(tmp_path, values, problem, found):
    path = write(tmp_path / "a.parquet", FRAME.assign(y=values))
    data = read_table(path, "y", problem=problem)
    assert data.problem == found
    assert data.class_names == () or data.class_names[0] in ("0", "False", "3", "a")


def test_many_whole_numbers_are_numbers(tmp_path):
    frame = pd.DataFrame({"x": RNG.normal(size=150), "y": np.arange(150) * 3})
    assert read_table(write(tmp_path / "a.csv", frame), "y").problem == "regression"
    with pytest.raises(ValueError, match="150 different values, 0, 1, 2, 3, 4, 5, …"):
        read_table(write(tmp_path / "a.csv", frame.assign(y=np.arange(150))), "y")


def _with(**columns):
    return FRAME.assign(**columns)


DAYS = pd.date_range("2020-01-01", periods=N)
#: What is in the file, its target, and what the error says.
BAD = {
    "no such column": (FRAME, "prize", "Did you mean 'price'"),
    "constant numbers": (_with(y=2.5), "y", "48 equal ones, 2.5"),
    "constant text": (_with(y="a"), "y", "one, 'a', for all 60"),
    "rare class": (_with(y=["a"] + ["b"] * (N - 1)), "y", "Received: 1"),
    "empty target": (_with(y=[None, *"ab" * 29, "a"]), "y", r"in 1 of 60 rows, the first in row 1"),
    "whole numbers": (_with(y=np.arange(N) % 7 + 3), "y", "--classification or --regression"),
    "text target": (_with(y=[f"t{i}" for i in range(N)]), "y", "'y' .* 60 different texts"),
    "date target": (_with(y=DAYS), "y", "'y' .* dates such as 2020-01-01"),
    "ids": (_with(id=[f"u{i}" for i in range(N)]), "price", r"'id'.*another text.*--drop 'id'"),
    "many texts": (
        _with(name=[f"u{i * 2 // 3}" for i in range(N)]),
        "price",
        "'name'.* 40",
    ),
    "row numbers": (FRAME.reset_index(), "price", r"'index' .* counts the rows.*--drop 'index'"),
    "dates": (_with(day=DAYS), "price", "'day' .* has dates such as 2020-01-01"),
    "times": (
        _with(day=DAYS.strftime("%d.%m.%Y 10:30")),
        "price",
        "'day' .* dates such as 01",
    ),
    "infinite": (_with(a=[*range(9), np.inf] * 6), "price", "inf in the column 'a' of .*, row 10"),
    "too large": (
        _with(a=[1e300] + [2.0] * 59),
        "price",
        r"1e\+300 in the column 'a' of .*, row 1",
    ),
    "marks": (
        _with(a=["?", *"12" * 29, "3"]),
        "price",
        r"59 numbers, and '\?' in row 1",
    ),
    "empty column": (_with(a=np.nan), "price", "'a' of .*, which has no value in any row"),
    "target alone": (FRAME[["price", "sold"]], "price", "with no column but 'price' and those"),
    "one column": (FRAME[["price"]], "price", "with one column, 'price'"),
    "header only": (FRAME[:0], "price", "with a header only"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(tmp_path, case):
    frame, target, message = BAD[case]
    drop = ["sold"] if case == "target alone" else []
    with pytest.raises(ValueError, match=message) as caught:
        read_table(write(tmp_path / "a.csv", frame), target, drop=drop)
    assert "Received: " in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (DAYS, r"'a' of .*, which has dates or times \(datetime64"),
        ([datetime.date(2020, 1, 1)] * N, "has dates or times"),
        (DAYS - DAYS[0], "has dates or times"),
        ([b"x"] * N, "has cells of bytes"),
        ([[1, 2]] * N, "has cells of mixed"),
    ],
)
def test_what_only_parquet_has(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path / "a.parquet", FRAME.assign(a=values)), "price")


BAD_TEXT = {
    "empty": (b"", "which is empty"),
    "duplicates": (b"a,b,a,y\n1,2,3,4\n", "'a' 2 times"),
    "more cells": (b"a,y\n1,2,3\n4,5,6\n", "as many cells in each row"),
    "longer row": (b"a,y\n1,2\n3,4,5\n6,7\n", "as many cells in each row"),
    "latin": ("a,y\nü,1\n".encode("latin1"), "whose byte 4 is not"),
    "tabs": (b"a\ty\n1\t2\n", r"with tabs in it. .*delimiter='\\t'"),
    "one row": (b"a,y\n1,0.5\n", "two rows or more, one to train on"),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_text_that_is_no_table(tmp_path, case):
    content, message = BAD_TEXT[case]
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_table(tmp_path / "a.csv", "y")
    assert "Received: " in str(caught.value)


def test_a_damaged_parquet_file(tmp_path):
    path = write(tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"a.parquet is a Parquet file"):
        read_table(path, "price")
    with pytest.raises(ValueError, match="A delimiter is for CSV files"):
        read_table(write(path), "price", delimiter=";")


def test_an_index_of_pandas(tmp_path):
    shuffled = FRAME.drop(columns="sold").sample(frac=1, random_state=0)
    shuffled.to_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet", "price").feature_names[0] == "size"
    shuffled.set_index("rooms").to_parquet(tmp_path / "a.parquet")
    assert "rooms" in read_table(tmp_path / "a.parquet", "price").feature_names


def test_columns_that_are_left_out(tmp_path):
    path = write(tmp_path / "houses.csv")
    with pytest.raises(ValueError, match="Did you mean 'town'"):
        read_table(path, "price", drop=["twon"])
    with pytest.raises(ValueError, match="'price' as both target and drop"):
        read_table(path, "price", drop=["price"])


def test_paths_that_lead_nowhere(tmp_path):
    write(tmp_path / "houses.csv")
    with pytest.raises(FileNotFoundError, match=r"where nothing is. Did you mean 'houses.csv'"):
        load(str(tmp_path / "house.csv"), target="price")
    with pytest.raises(FileNotFoundError, match=r"a.csv, which does not exist"):
        read_table(tmp_path / "a.csv", "price")
    with pytest.raises(ValueError, match="a file of another kind"):
        load(write(tmp_path / "houses.xlsx"))
    with pytest.raises(ValueError, match="needs the column that is to be predicted"):
        load(tmp_path / "houses.csv")
    with pytest.raises(ValueError, match=r"a table, takes the options target, .*image_size=8"):
        load(tmp_path / "houses.csv", target="price", image_size=8)
    with pytest.raises(ValueError, match=r"'digits' takes the options image_size. Rec"):
        load("digits", target="price")
    with pytest.raises(ValueError, match="Leave it out"):
        load(tmp_path / "houses.csv", tmp_path, target="price")
