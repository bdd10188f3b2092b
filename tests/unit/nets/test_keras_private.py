"""Each name of Keras' inside that ``nets.keras_private`` uses still means what it meant."""

import pytest

pytestmark = pytest.mark.slow

CHANGED = (
    "Keras {version} has changed {name}, which is not in its public interface: "
    "adapt src/keensight/nets/keras_private.py, the one file that uses it"
)


@pytest.fixture(scope="module")
def keras():
    from keensight.nets.runtime import framework

    return framework()[0]


@pytest.fixture(scope="module")
def graph(keras):
    """A layer that is shared by two calls, an addition of both, and a layer behind it."""
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    shared = keras.layers.Dense(3, name="shared")
    both = keras.layers.Add(name="both")([shared(left), shared(right)])
    return keras.Model([left, right], keras.layers.Dense(2, name="last")(both))


def same(found, expected, name):
    import keras

    assert found == expected, CHANGED.format(version=keras.__version__, name=name)


def names(operations):
    return [operation.name for operation in operations]


def test_a_tensor_knows_what_it_is_an_output_of(graph):
    from keensight.nets.keras_private import producer

    same(producer(graph.outputs[0]).name, "last", "KerasTensor._keras_history.operation")


def test_a_tensor_knows_what_the_call_that_made_it_took_in(graph):
    from keensight.nets.keras_private import source_tensors

    # `both` has two inputs, of the first and the second call of the shared layer.
    first, second = source_tensors(graph.get_layer("both").output)
    for tensor, expected in ((first, "left"), (second, "right")):
        found = [source.name for source in source_tensors(tensor)]
        same(found, [expected], "KerasTensor._keras_history or Node.input_tensors")
    same(source_tensors(graph.inputs[0]), [], "Node.input_tensors of an input")


def test_a_layer_knows_what_it_reads_and_what_reads_it(graph):
    from keensight.nets.keras_private import readers, sources

    shared, both = graph.get_layer("shared"), graph.get_layer("both")
    same(names(sources(shared)), ["left", "right"], "Operation._inbound_nodes or Node.parent_nodes")
    same(names(sources(both)), ["shared", "shared"], "Operation._inbound_nodes or Node.parent_nodes")
    same(names(readers(both)), ["last"], "Operation._outbound_nodes")


def test_a_shared_layer_is_called_twice(graph):
    from keensight.nets.keras_private import calls

    same((calls(graph.get_layer("shared")), calls(graph.get_layer("last"))), (2, 1), "Operation._inbound_nodes")


def test_a_graph_is_walked_again_in_order_and_no_model_is_made_of_it(keras, graph):
    from keensight.nets.keras_private import producer, rerun

    walked = []

    def apply(operation, *args, **kwargs):
        walked.append(operation.name)
        return operation(*args, **kwargs)

    output = rerun(graph, [keras.Input((4,)), keras.Input((4,))], apply)
    same(sorted(walked), ["both", "last", "shared", "shared"], "Function._run_through_graph")
    same(walked[-1], "last", "the order of Function._run_through_graph")
    same(producer(output).name, "last", "what Function._run_through_graph returns")


def test_the_outputs_of_a_model_and_of_those_in_it(keras, graph):
    from keensight.nets.keras_private import outputs

    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(7, name="deep")], name="inner")
    outer = keras.Model(graph.inputs, inner(graph.output))
    found = {(operation.name, tuple(tensor.shape)) for operation, tensor in outputs(outer)}
    expected = {
        ("both", (None, 3)),
        ("shared", (None, 3)),
        ("last", (None, 2)),
        ("deep", (None, 7)),
        ("inner", (None, 7)),
    }
    same(expected - found, set(), "Operation._inbound_nodes")
