// What an image file is, from its first bytes, and its pixels through the browser's decoder.
const MOST_BYTES = 256 * 2 ** 20;
const MOST_PIXELS = 120e6; // a browser holds 4 bytes of each, twice
const CONVERT = "Save it as JPEG or PNG. (The command keensight predict reads it as it is.)";

class Unreadable extends Error {}

const text = (bytes, at, length) => String.fromCharCode(...bytes.subarray(at, at + length));

/** Kind of a file: {format, width, height, orientation, at (offset of the orientation), gray, profile}. */
function identify(bytes) {
  if (!bytes.length) throw new Unreadable("The file is empty.");
  if (bytes.length > MOST_BYTES) throw new Unreadable("The file is larger than 256 MB.");
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return jpeg(bytes);
  if (text(bytes, 0, 8) === "\x89PNG\r\n\x1a\n") return png(bytes);
  if (text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 4) === "WEBP") return webp(bytes);
  if (/^GIF8[79]a/.test(text(bytes, 0, 6))) return gif(bytes);
  if (text(bytes, 0, 2) === "BM") return bmp(bytes);
  if (text(bytes, 4, 4) === "ftyp") return boxed(bytes);
  throw new Unreadable(foreign(bytes));
}

function foreign(bytes) {
  const kinds = [
    [/^(II\*\0|MM\0\*|II\+\0)/, "TIFF images"], [/^.{128}DICM/s, "DICOM images"], [/^%PDF/, "PDF documents"],
    [/^(\xff\x0a|\0\0\0\x0cJXL )/, "JPEG XL images"], [/^(\0\0\0\x0cjP  |\xff\x4f\xff\x51)/, "JPEG 2000 images"],
    [/^P[1-6f]\s/, "PPM images"], [/^\0\0\x01\0/, "icons"], [/^PK\x03\x04/, "archives"], [/^\s*(<\?xml|<svg)/, "SVG drawings"],
  ];
  const found = kinds.find(([pattern]) => pattern.test(text(bytes, 0, 140)));
  if (found) return `This page does not read ${found[1]}. ${CONVERT}`;
  return "This is not an image that this page reads: JPEG, PNG, WebP, GIF, BMP or AVIF.";
}

/** The orientation in an EXIF block, and where in the file it is written. */
function exif(bytes, start, end) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const little = text(bytes, start, 4) === "II*\0";
  if (!little && text(bytes, start, 4) !== "MM\0*") return {};
  const directory = start + view.getUint32(start + 4, little);
  if (directory + 2 > end) return {};
  for (let i = 0, at = directory + 2; i < view.getUint16(directory, little) && at + 12 <= end; i++, at += 12) {
    if (view.getUint16(at, little) !== 0x0112) continue;
    const wide = view.getUint16(at + 2, little) === 4;
    const value = wide ? view.getUint32(at + 8, little) : view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? { orientation: value, at: at + 8, bytes: wide ? 4 : 2, little } : {};
  }
  return {};
}

function jpeg(bytes) {
  const found = { format: "JPEG", orientation: 1, profile: false };
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff || bytes[at + 1] === 0xff || bytes[at + 1] === 0) { at++; continue; }
    const marker = bytes[at + 1];
    if (marker === 0xd9) break;
    if (marker === 1 || (marker >= 0xd0 && marker <= 0xd8)) { at += 2; continue; }
    const end = at + 2 + view.getUint16(at + 2);
    if (marker === 0xda) {
      if (!ends(bytes, end)) throw new Unreadable("The file is incomplete: its image data ends early.");
      break;
    }
    if (marker === 0xe1 && found.orientation === 1 && text(bytes, at + 4, 6) === "Exif\0\0") {
      Object.assign(found, exif(bytes, at + 10, Math.min(end, bytes.length)));
    }
    if (marker === 0xe2 && text(bytes, at + 4, 12) === "ICC_PROFILE\0") found.profile = true;
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker) && at + 10 <= bytes.length) {
      Object.assign(found, { height: view.getUint16(at + 5), width: view.getUint16(at + 7), gray: bytes[at + 9] === 1 });
      if (bytes[at + 9] === 4) throw new Unreadable(`This page does not read JPEG images for print (CMYK). ${CONVERT}`);
      if (bytes[at + 4] !== 8) throw deep("JPEG");
    }
    at = end;
  }
  return found;
}

/** Whether a JPEG has its end marker after the first scan. */
function ends(bytes, start) {
  for (let at = bytes.lastIndexOf(0xd9); at > start; at = bytes.lastIndexOf(0xd9, at - 1)) {
    if (bytes[at - 1] === 0xff) return true;
  }
  return false;
}

const deep = (format) => new Unreadable(`This page reads ${format} images of 8 bits per color only. ${CONVERT}`);

function png(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const found = { format: "PNG", orientation: 1, width: view.getUint32(16), height: view.getUint32(20), drop: [] };
  found.gray = bytes[25] === 0 || bytes[25] === 4;
  if (bytes[24] === 16) throw deep("PNG");
  for (let at = 8; at + 12 <= bytes.length; ) {
    const name = text(bytes, at + 4, 4), end = at + 12 + view.getUint32(at);
    if (name === "eXIf") found.orientation = exif(bytes, at + 8, Math.min(end - 4, bytes.length)).orientation ?? 1;
    if (name === "iCCP") found.profile = true;
    // The browser would turn the image or change its colors by these.
    if (["eXIf", "gAMA", "cHRM", "cICP", "acTL"].includes(name)) found.drop.push([at, end]);
    at = end;
  }
  return found;
}

function webp(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const found = { format: "WebP", orientation: 1 };
  const size = (width, height) => found.width || Object.assign(found, { width, height });
  const triple = (at) => bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const name = text(bytes, at, 4), length = view.getUint32(at + 4, true), body = at + 8;
    if (name === "VP8X") size(1 + triple(body + 4), 1 + triple(body + 7));
    if (name === "VP8 ") size(view.getUint16(body + 6, true) & 0x3fff, view.getUint16(body + 8, true) & 0x3fff);
    if (name === "VP8L") {
      const bits = view.getUint32(body + 1, true);
      size(1 + (bits & 0x3fff), 1 + ((bits >> 14) & 0x3fff));
    }
    if (name === "ICCP") found.profile = true;
    if (name === "EXIF") {
      const skip = text(bytes, body, 6) === "Exif\0\0" ? 6 : 0;
      Object.assign(found, exif(bytes, body + skip, Math.min(body + length, bytes.length)));
    }
    at = body + length + (length & 1);
  }
  return found;
}

function gif(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { format: "GIF", orientation: 1, width: view.getUint16(6, true), height: view.getUint16(8, true) };
}

function bmp(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (bytes.length < 26) throw new Unreadable("The file is incomplete: its image data ends early.");
  const old = view.getUint32(14, true) === 12;
  const width = old ? view.getUint16(18, true) : view.getInt32(18, true);
  const height = old ? view.getUint16(20, true) : Math.abs(view.getInt32(22, true));
  return { format: "BMP", orientation: 1, width, height };
}

function boxed(bytes) {
  const brands = text(bytes, 8, Math.min(64, bytes.length - 8));
  if (/avi[fs]/.test(brands)) return { format: "AVIF", orientation: 1 };
  if (/hei[cxms]|hev[cx]|mif1|msf1/.test(brands)) throw new Unreadable(`This page does not read HEIC photos. ${CONVERT}`);
  throw new Unreadable("This is a video. Save a single frame of it as JPEG or PNG.");
}

/** The file without what would make browsers turn the image or change its colors, each in its own way. */
function plainFile(bytes, kind) {
  if (kind.drop?.length) {
    const kept = [];
    let from = 0;
    for (const [start, end] of kind.drop) {
      kept.push(bytes.subarray(from, start));
      from = end;
    }
    return new Blob([...kept, bytes.subarray(from)]);
  }
  if (kind.at === undefined || kind.orientation === 1) return new Blob([bytes]);
  const upright = bytes.slice(), view = new DataView(upright.buffer);
  if (kind.bytes === 4) view.setUint32(kind.at, 1, kind.little);
  else view.setUint16(kind.at, 1, kind.little);
  return new Blob([upright]);
}

/** Decode a file: {picture, extent, orientation, bitmap}; Unreadable with a sentence where that is not possible. */
async function opened(blob, spec) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let kind;
  try {
    kind = identify(bytes);
  } catch (error) {
    throw error instanceof RangeError ? new Unreadable("The file is damaged: its header ends early.") : error;
  }
  if (kind.width * kind.height > MOST_PIXELS) {
    throw new Unreadable(`The image has ${Math.round((kind.width * kind.height) / 1e6)} megapixels; the limit of this page is 120.`);
  }
  const profile = spec.decoder >= 3 && kind.profile && !kind.gray;
  let bitmap;
  try {
    bitmap = await createImageBitmap(plainFile(bytes, kind), {
      premultiplyAlpha: "none", colorSpaceConversion: profile ? "default" : "none",
    });
  } catch {
    throw new Unreadable(`The file is damaged: this browser cannot decode it as ${kind.format}.`);
  }
  if (bitmap.width * bitmap.height > MOST_PIXELS) throw new Unreadable("The image has more than 120 megapixels.");
  let picture = pictureOf(bitmap);
  let extent = [picture.width, picture.height];
  const draft = kind.format === "JPEG" ? drafted(extent, spec, kind.orientation) : 1;
  if (draft > 1) {
    extent = extent.map((length) => length / draft);
    picture = reduced(picture, draft, draft);
  }
  return { picture, extent, orientation: kind.orientation, bitmap };
}

/** 1, 2, 4 or 8: how much smaller a JPEG is decoded, as by `core.pixels`. */
function drafted([width, height], spec, orientation) {
  let [wide, high] = orientation >= 5 ? [spec.height, spec.width] : [spec.width, spec.height];
  if (spec.fit === "pad") {
    const scale = Math.min(wide / width, high / height);
    [wide, high] = [even(width * scale), even(height * scale)];
  }
  const least = (length) => Math.max(1, Math.trunc(length * 1.25));
  const times = Math.min(Math.floor(width / least(wide)), Math.floor(height / least(high)));
  return [8, 4, 2].find((scale) => times >= scale) ?? 1;
}

/** A bitmap's pixels, a strip at a time: a phone's canvas is smaller than its camera's photos. */
function pictureOf(bitmap) {
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  const rows = (top, count) => {
    if (canvas.width !== width || canvas.height !== count) [canvas.width, canvas.height] = [width, count];
    context.globalCompositeOperation = "copy";
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    const pixels = context.getImageData(0, 0, width, count).data;
    premultiply(pixels);
    return pixels;
  };
  return { width, height, rows, cost: width };
}
