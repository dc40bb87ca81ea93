"""What a search learns from tasks in which every function's result is known.

The benchmarks of `keras_actfn.search.bench` are the atlas: many functions, each trained in several
tasks. A new task starts from them.

| file | what it says of the new task |
|---|---|
| `table` | the scores of all tasks side by side, in one unit |
| `portfolio` | which functions to evaluate first |
| `prior` | what to expect of any function before it is evaluated |
| `mean` | how the search's surrogates use that, and give way to the task's own evaluations |
| `recommend` | what to use without any training, with how much to expect of it |
"""
