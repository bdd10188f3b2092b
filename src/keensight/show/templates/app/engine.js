// LiteRT on the CPU, from bytes that this page holds: nothing is fetched, and no graphics card is asked for.
globalThis.openNetwork = async (wasm, network) => {
  const log = (line) => console.debug(line); // it reports what it does as if these were errors
  const runtime = new LiteRt(await globalThis.ModuleFactory({ wasmBinary: wasm, print: log, printErr: log }));
  setGlobalLiteRt(runtime);
  runtime.setDefaultEnvironment(await Environment.create({ webGpuDevice: null }));
  const compiled = await runtime.loadAndCompile(network, { accelerator: "wasm" });
  const shape = Array.from(compiled.getInputDetails()[0].shape, (size) => Math.max(1, size));
  const run = async (pixels) => {
    const image = new Tensor(pixels, shape);
    const outputs = await compiled.run([image]);
    const found = outputs.map((output) => Float32Array.from(output.toTypedArray()));
    [image, ...outputs].forEach((tensor) => tensor.delete());
    return found;
  };
  run.shape = Array.from(compiled.getOutputDetails()[0].shape);
  return run;
};
