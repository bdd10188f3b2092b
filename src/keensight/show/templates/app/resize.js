// Pillow's resize: a triangle filter as wide as the scale, in whole numbers of 22 bits, across first and then down, each
// rounded to 8 bits. (For much taller images Pillow 13 goes down first: at most one level of difference.) A browser's
// own scaling differs by far more, and with it the prediction.
const BITS = 22;
const GAP = 8; // from 16 times the size wanted on, whole pixels are averaged first

/** Where each output pixel reads, and with which weights. */
function coefficients(size, from, to, wanted) {
  const low = Math.fround(from), scale = Math.fround(Math.fround(to) - low) / wanted;
  const wide = Math.max(scale, 1), most = Math.ceil(wide) * 2 + 1;
  const starts = new Int32Array(wanted), counts = new Int32Array(wanted), weights = new Int32Array(wanted * most);
  const row = new Float64Array(most);
  for (let i = 0; i < wanted; i++) {
    const center = low + (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - wide + 0.5));
    const count = Math.min(size, Math.trunc(center + wide + 0.5)) - start;
    let sum = 0;
    for (let k = 0; k < count; k++) {
      row[k] = Math.max(0, 1 - Math.abs((k + start - center + 0.5) / wide));
      sum += row[k];
    }
    for (let k = 0; k < count; k++) weights[i * most + k] = Math.trunc(0.5 + (row[k] / (sum || 1)) * (1 << BITS));
    starts[i] = start;
    counts[i] = count;
  }
  return { starts, counts, weights, most, wanted };
}

const level = (sum) => Math.max(0, Math.min(255, sum >> BITS));

/** One row of RGBA at `offset` of `source` becomes one row of `target`. */
function across(source, offset, target, place, columns) {
  for (let i = 0; i < columns.wanted; i++) {
    let r = 1 << (BITS - 1), g = r, b = r, a = r;
    let at = offset + 4 * columns.starts[i];
    for (let k = i * columns.most, end = k + columns.counts[i]; k < end; k++, at += 4) {
      const w = columns.weights[k];
      r += source[at] * w;
      g += source[at + 1] * w;
      b += source[at + 2] * w;
      a += source[at + 3] * w;
    }
    target[place++] = level(r);
    target[place++] = level(g);
    target[place++] = level(b);
    target[place++] = level(a);
  }
}

function down(source, width, lines) {
  const target = new Uint8ClampedArray(lines.wanted * width * 4), stride = width * 4;
  const sums = new Int32Array(stride);
  for (let i = 0; i < lines.wanted; i++) {
    sums.fill(1 << (BITS - 1));
    for (let k = 0; k < lines.counts[i]; k++) {
      const w = lines.weights[i * lines.most + k], from = (lines.starts[i] + k) * stride;
      for (let x = 0; x < stride; x++) sums[x] += source[from + x] * w;
    }
    for (let x = 0, to = i * stride; x < stride; x++) target[to + x] = level(sums[x]);
  }
  return target;
}

/** Color times opacity, as Pillow rounds it; nothing to do where all is opaque. */
function premultiply(pixels) {
  for (let i = 0; i < pixels.length; i += 4) {
    const a = pixels[i + 3];
    if (a === 255) continue;
    for (let c = 0; c < 3; c++) {
      const t = pixels[i + c] * a + 128;
      pixels[i + c] = ((t >> 8) + t) >> 8;
    }
  }
}

/** Blocks of `x` by `y` pixels of a part of a picture become their mean; the last ones may be smaller. */
function reduced(picture, x, y, part = [0, 0, picture.width, picture.height]) {
  const [left, above, right, below] = part;
  const width = Math.ceil((right - left) / x), height = Math.ceil((below - above) / y);
  const rows = (top, count) => {
    const target = new Uint8ClampedArray(4 * width * count);
    const first = above + top * y, last = Math.min(below, first + count * y);
    const source = picture.rows(first, last - first);
    for (let j = 0; j < count; j++) {
      const high = Math.min(y, last - first - j * y);
      for (let i = 0; i < width; i++) {
        const wide = Math.min(x, right - left - i * x), n = wide * high;
        let r = n >> 1, g = r, b = r, a = r;
        for (let v = 0; v < high; v++) {
          let at = 4 * ((j * y + v) * picture.width + left + i * x);
          for (let u = 0; u < wide; u++, at += 4) {
            r += source[at];
            g += source[at + 1];
            b += source[at + 2];
            a += source[at + 3];
          }
        }
        const to = 4 * (j * width + i);
        target[to] = r / n | 0;
        target[to + 1] = g / n | 0;
        target[to + 2] = b / n | 0;
        target[to + 3] = a / n | 0;
      }
    }
    return target;
  };
  return { width, height, rows, cost: picture.cost * y };
}

/** What a filter reads of a box, in whole pixels. */
function around([left, top, right, bottom], width, height, picture) {
  const x = (right - left) / width / 2, y = (bottom - top) / height / 2;
  return [
    Math.max(0, Math.trunc(left - x)), Math.max(0, Math.trunc(top - y)),
    Math.min(picture.width, Math.ceil(right + x)), Math.min(picture.height, Math.ceil(bottom + y)),
  ];
}

/**
 * A part of a picture in another size.
 * picture: {width, height, rows(top, count), cost}: rows of premultiplied RGBA, and how many pixels one takes in memory;
 * box: [left, top, right, bottom], also fractions of a pixel.
 */
function resized(picture, width, height, box) {
  const [left, top, right, bottom] = box;
  const x = Math.trunc((right - left) / width / GAP) || 1, y = Math.trunc((bottom - top) / height / GAP) || 1;
  if (x > 1 || y > 1) {
    const part = around(box, width, height, picture);
    picture = reduced(picture, x, y, part);
    box = [(left - part[0]) / x, (top - part[1]) / y, (right - part[0]) / x, (bottom - part[1]) / y];
  }
  const columns = coefficients(picture.width, box[0], box[2], width);
  const lines = coefficients(picture.height, box[1], box[3], height);
  const first = lines.starts[0], end = lines.starts[height - 1] + lines.counts[height - 1];
  const narrow = new Uint8ClampedArray(4 * width * (end - first));
  const strip = Math.max(1, Math.floor(2 ** 20 / picture.cost));
  for (let from = first; from < end; from += strip) {
    const count = Math.min(strip, end - from), source = picture.rows(from, count);
    for (let j = 0; j < count; j++) {
      across(source, 4 * j * picture.width, narrow, 4 * (from - first + j) * width, columns);
    }
  }
  lines.starts = lines.starts.map((start) => start - first);
  return down(narrow, width, lines);
}

/** Where a picture goes in the model's input: the size that it gets, and the part of it that is used. */
function framed(across, down, width, height, fit) {
  let left = 0, top = 0;
  if (fit === "crop") {
    const scale = Math.max(width / across, height / down);
    left = Math.max(0, (across - width / scale) / 2);
    top = Math.max(0, (down - height / scale) / 2);
  } else if (fit === "pad") {
    const scale = Math.min(width / across, height / down);
    width = Math.min(width, Math.max(1, even(across * scale)));
    height = Math.min(height, Math.max(1, even(down * scale)));
  }
  return { width, height, box: [left, top, across - left, down - top] };
}

/** Python's round: halves to the even number. */
function even(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

/** A premultiplied pixel's color on the ground, as Pillow divides and blends. */
function grounded(color, alpha, ground) {
  if (alpha === 255) return color;
  if (alpha === 0) return ground;
  const t = ground * (255 - alpha) + Math.min(255, Math.trunc((255 * color) / alpha)) * alpha + 128;
  return ((t >> 8) + t) >> 8;
}

/** Where pixel (x, y) of a turned image of this width and height comes from, by EXIF orientation. */
function sourceOf(orientation, x, y, width, height) {
  const right = width - 1 - x, below = height - 1 - y;
  return [[x, y], [right, y], [right, below], [x, below], [y, x], [y, right], [below, right], [below, x]][orientation - 1];
}

/**
 * A picture as the model's input, uint8 RGB: resized, blended with the background, turned and framed, in this order.
 * extent: width and height that count, fractions of a pixel included; spec: {height, width, fit, ground}.
 */
function modelInput(picture, extent, spec, orientation = 1) {
  const turned = orientation >= 5;
  const place = framed(...extent, turned ? spec.height : spec.width, turned ? spec.width : spec.height, spec.fit);
  const whole = place.width === picture.width && place.height === picture.height &&
    place.box.every((edge, i) => edge === [0, 0, picture.width, picture.height][i]);
  const pixels = whole
    ? picture.rows(0, picture.height) : resized(picture, place.width, place.height, place.box);
  const width = turned ? place.height : place.width, height = turned ? place.width : place.height;
  const left = (spec.width - width) >> 1, top = (spec.height - height) >> 1;
  const found = new Uint8Array(spec.height * spec.width * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [u, v] = orientation === 1 ? [x, y] : sourceOf(orientation, x, y, width, height);
      const from = 4 * (v * place.width + u), to = 3 * ((top + y) * spec.width + left + x);
      for (let c = 0; c < 3; c++) found[to + c] = grounded(pixels[from + c], pixels[from + 3], spec.ground);
    }
  }
  return found;
}
