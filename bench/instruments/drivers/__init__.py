"""One file a model, written from its manual; `bench.instruments.models` lists them."""
