"""Input pipelines, one module for each kind of data (`Recipe.kind`).

A pipeline module holds a class `Pipeline(recipe, data_dir=None, smoke=False)`:

* `dataset`: name and version of the data, for the card;
* `FACTS`: names of attributes that the card takes over; the first is `classes`, in the
  order of the model's outputs, or `variates`;
* `JIT_COMPILE`: whether XLA compiles the training;
* `shows_attention`: whether the model has attention to draw;
* `model_config()`: arguments of the model that only the data decide;
* `batches(split, seed=None, first_pass=0)`: `tf.data` batches of "train" or
  "validation"; `(seed, number of the pass)` decides what a pass of training draws;
* `loss()` and `metrics()`: what the core is compiled with;
* `score(logs)`: what picks the epoch and the seed; the greatest wins;
* `servable(core)`: the model people load, from raw inputs to outputs;
* `raw(split)`: raw inputs and labels of "validation" or "test";
* `evaluate(model, split, sample=None)`: dict of metrics, of a core or a servable;
* `baselines()`: functions by name, each giving a dict of test metrics;
* `attention_report(servable)`: dict of what is known about the weights;
* `examples(count)`: raw test inputs for the attention picture;
* `draw(folder, runs, twins)`: pictures of its own, if it has any.
"""
