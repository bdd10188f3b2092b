"""Predict a folder of images on Spark, with an exported model: no Keensight on the cluster.

keensight export RUN --to litert --out clothes/
spark-submit recipes/spark/predict.py clothes/ s3a://bucket/photos s3a://bucket/found.parquet

Each Python worker of Spark needs ai-edge-litert, numpy, pandas, pillow and pyarrow. The export is copied to the
executors. Spark reads the files (any of its file systems), sends the bytes to its Python workers, and starts a task
again whose worker ends; a table that is there already is refused.
"""

import argparse
import io
import sys
from pathlib import Path

import pandas as pd
from pyspark import SparkFiles
from pyspark.sql import SparkSession

COLUMNS = "path string, label string, probability double, decision string, error string"
IMAGES = "*.{jpg,jpeg,png,webp,bmp,JPG,JPEG,PNG,WEBP,BMP}"  # capital letters count
ROWS = 32
"""Images that are sent to a Python worker at a time: 10,000, which Spark would send, do not fit into its memory."""


def predictor(export):
    """What a Python worker of Spark does with tables of path and content, with the export of this name."""

    def predicted(tables):
        sys.path.insert(0, SparkFiles.get(export))
        import reader  # the file beside the exported network, which it opens once in each worker

        for table in tables:
            rows = [row(reader, *one) for one in zip(table["path"], table["content"], strict=True)]
            yield pd.DataFrame(rows, columns=["path", "label", "probability", "decision", "error"])

    return predicted


def row(reader, path, content):
    """One image's row; what cannot be read has its error."""
    try:
        found = reader.predict(io.BytesIO(content))
    except Exception as error:  # Pillow raises errors of many classes for damaged files
        return path, None, None, None, f"{type(error).__name__}: {error}"
    return path, found["label"], found["probability"], found["decision"], None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="folder that `keensight export RUN --to litert` has written")
    parser.add_argument("images", help="folder of images, on a file system that Spark reads")
    parser.add_argument("out", help="Parquet table to write")
    parser.add_argument("--name", default=IMAGES, help="pattern of file names (default: images)")
    parser.add_argument("--tasks", type=int, default=0, help="number of tasks (default: by Spark)")
    arguments = parser.parse_args()
    spark = (
        SparkSession.builder.appName("keensight")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", ROWS)
        .config("spark.executorEnv.OMP_NUM_THREADS", "1")  # a task has one CPU
        .getOrCreate()
    )
    folder = arguments.export.resolve()
    spark.sparkContext.addFile(str(folder), recursive=True)
    files = spark.read.format("binaryFile").option("pathGlobFilter", arguments.name)
    images = files.option("recursiveFileLookup", "true").load(arguments.images).select("path", "content")
    if arguments.tasks:
        images = images.repartition(arguments.tasks)
    images.mapInPandas(predictor(folder.name), COLUMNS).write.mode("errorifexists").parquet(arguments.out)
    spark.stop()


if __name__ == "__main__":
    main()
