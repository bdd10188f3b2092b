"""Files with many images inside: archives, arrays, Parquet, records."""
