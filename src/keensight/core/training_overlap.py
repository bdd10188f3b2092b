"""Images that an evaluation excluded because the model was trained on them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Images that a model was trained on, by the way they were recognized: indices into ``Dataset.samples``."""

    same_file: tuple[int, ...] = ()
    """Their files are training or validation images, byte by byte."""
    same_pixels: tuple[int, ...] = ()
    """Other files with the same pixels at the model's input size."""
    look_alike: tuple[int, ...] = ()
    """Copies that were compressed, resized or made gray, by their fingerprints (:mod:`keensight.core.fingerprints`)."""
    same_group: int = 0
    """Number of evaluated images from a group (such as a patient) that the model was trained on."""
    notes: tuple[str, ...] = ()
    """What could not be checked, in sentences."""

    @property
    def rows(self) -> frozenset[int]:
        """All of them."""
        return frozenset((*self.same_file, *self.same_pixels, *self.look_alike))

    @property
    def counts(self) -> dict[str, int]:
        """The number of each kind, for JSON."""
        return {
            "same_file": len(self.same_file), "same_pixels": len(self.same_pixels), "look_alike": len(self.look_alike)
        }  # fmt: skip

    def joined(self, other: LeftOut) -> LeftOut:
        """Images that either of two models was trained on; each counts once, by the strictest match."""
        files = {*self.same_file, *other.same_file}
        pixels = {*self.same_pixels, *other.same_pixels} - files
        alike = {*self.look_alike, *other.look_alike} - files - pixels
        return LeftOut(
            tuple(sorted(files)), tuple(sorted(pixels)), tuple(sorted(alike)),
            max(self.same_group, other.same_group), tuple(dict.fromkeys((*self.notes, *other.notes))),
        )  # fmt: skip

    def sentences(self) -> list[str]:
        """Notes for readers; empty if nothing was excluded and everything could be checked."""
        told = {
            "the same file": len(self.same_file),
            "the same pixels": len(self.same_pixels),
            "a compressed, resized or gray copy": len(self.look_alike),
        }
        found = []
        if self.rows:
            ways = ", ".join(f"{n:,} {way}" for way, n in told.items() if n)
            found.append(f"{_images(len(self.rows), 'training image')} not evaluated: {ways}")
        if self.same_group:
            found.append(
                f"{_images(self.same_group)} evaluated here share a group (such as a patient) with training images: "
                "the result may be too optimistic"
            )
        return [*found, *self.notes]


def _images(n: int, noun: str = "image") -> str:
    return f"1 {noun}" if n == 1 else f"{n:,} {noun}s"
