"""Readers: from what people have (folders, tables, arrays, IDX files, tf.data) to a dataset."""
