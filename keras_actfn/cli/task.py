"""The task of a command: the user's own, or a built-in model on data by name."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import model_builder, model_name, own_function
from .data import DataChoice
from .tables import RECIPES, listed

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..training import Task

TaskOption = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="module:function, your own function that returns a keras_actfn.training.Task: any "
        "Keras model, data and metric. Instead of --model, --data and how to train.",
    ),
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="How an uncompiled classifier is trained: adam (rate 1e-3, the default), or a paper's "
        f"recipe: {listed(RECIPES[1:])}. A regression has Adam at 1e-3 on the mean squared error.",
    ),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        help="What is best: accuracy or loss for a classifier; mae, rmse (in the target's unit) or "
        "loss for a regression; or what your compiled model reports. Default: the first of these, "
        "or the task's.",
    ),
]
ModeOption = Annotated[
    str | None,
    typer.Option(
        "--mode", help="min or max: whether less or more of it is better. Default: as it says."
    ),
]

#: Options of the commands that a task of the user's has decided on.
_OF_TASK = ("model", "epochs", "batch_size", "recipe", "subset", "validation")


def is_given(context: typer.Context, name: str) -> bool:
    """Whether an option is on the command line, by the name of its argument."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def check_task_alone(context: typer.Context, task: str | None, apart: str = "") -> None:
    """Raise a ValueError if `--task` comes with options that it has decided on.

    Args:
        context: The command's context.
        task: `--task`.
        apart: An option that has another meaning in this command.
    """
    if task is None:
        return
    names = {*_OF_TASK, *DataChoice.__dataclass_fields__} - {apart}
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names and is_given(context, parameter.name)
    ]
    if given:
        raise ValueError(
            f"--task has a model, its data and how it is trained. Received beside it: "
            f"{', '.join(given)}. Leave out one or the other, and set it in {task}."
        )


def task_of(
    name: str | None,
    model: str | None,
    data: DataChoice,
    *,
    metric: str | None = None,
    mode: str | None = None,
    recipe: str | None = None,
    validation: int | None = None,
    default_validation: int | None = None,
    **training: Any,
) -> "tuple[Task, str]":
    """The task of a command's options, and what people call it.

    Args:
        name: `--task`, or None for a built-in one.
        model: `--model`.
        data: The options of the data.
        metric: `--metric`.
        mode: `--mode`.
        recipe: `--recipe`.
        validation: `--validation`.
        default_validation: The same where neither it nor the data says any.
        **training: Further arguments of `Task` for a built-in one.

    Raises:
        ValueError: If an option is not what it should be, or the function returns no task.
    """
    from ..training import Task

    if name is None:
        dataset = data.load()
        if validation is None and dataset.x_validation is None:
            validation = default_validation
        task = built_in_task(model, dataset, recipe, validation=validation, **training)
        return task.judged_by(metric, mode), (
            f"{model_name(model, dataset)} on {dataset.name} ({dataset.source})"
        )
    task = own_function(name, "--task", "a function that returns a Task")()
    if not isinstance(task, Task):
        raise ValueError(
            f"--task module:function names a function that returns a keras_actfn.training.Task. "
            f"Received from {name}: {type(task).__name__}."
        )
    return task.judged_by(metric, mode), name


def built_in_task(
    model: str | None, dataset: "Dataset", recipe: str | None = None, **training: Any
) -> "Task":
    """A built-in model on a dataset; one of a regression is compiled.

    Args:
        model: `--model`.
        dataset: The data.
        recipe: `--recipe`; None for `adam`, or for a compiled model.
        **training: Further arguments of `Task`.
    """
    from ..training import Task, recipes
    from ..training.data import Arrays
    from ..training.setup import BATCH_SIZE

    if recipe is not None and dataset.problem == "regression":
        raise ValueError(
            f"A recipe of a paper trains a classification. Received: --recipe {recipe} for "
            f"{dataset.name}, a regression. Leave it out."
        )
    shape = recipes.get(recipe).model_shape(dataset.input_shape) if dataset.has_images else None
    task = Task(model_builder(model, dataset, shape), dataset, recipe=recipe, **training)
    train = task.data.train
    if task.batch_size is None and isinstance(train, Arrays):
        task.batch_size = min(BATCH_SIZE, len(train))
    return task
