"""A model's answers to a whole store of images, each exactly once, as Parquet files."""
