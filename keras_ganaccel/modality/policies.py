"""Policies of augmentation by name: which there are, and which suit given samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.modality.protocol import Policy
from keras_ganaccel.modality.registry import MODALITIES, modality_named


def policies_of(modality: str, *, game: bool = False) -> Mapping[str, Policy]:
    """Returns a modality's policies.

    Args:
        modality: Its name.
        game: Those of the GAN instead of those of classifiers.
    """
    found = modality_named(modality)
    return found.game_policies if game else found.policies


def all_policies(*, game: bool = False) -> tuple[str, ...]:
    """Returns the names of the policies of all modalities, in the order in which they apply."""
    tables = [policies_of(name, game=game) for name in MODALITIES]
    return tuple(dict.fromkeys(policy for table in tables for policy in table))


def check_policies(policies: Iterable[str], *, game: bool = False) -> tuple[str, ...]:
    """Returns policies in the order in which they are applied.

    Args:
        policies: Their names.
        game: Whether they are meant for the GAN.

    Raises:
        InvalidInputError: No modality has one of them.

    Example:
        >>> check_policies(["cutout", "shift"])
        ('shift', 'cutout')
    """
    known = all_policies(game=game)
    asked = tuple(policies)
    for policy in asked:
        if policy not in known:
            raise InvalidInputError(
                f"Unknown augmentation. Received: {policy!r}. {nearest(str(policy), known)}"
            )
    return tuple(policy for policy in known if policy in asked)


def suited_policies(policies: Iterable[str], axes: int, *, game: bool = False) -> dict[str, Policy]:
    """Returns those policies that samples with so many axes can be changed by, in order.

    The others are passed over, so that one list of names serves data of every kind.

    Args:
        policies: Their names.
        axes: The number of axes of one sample.
        game: Whether they are meant for the GAN.

    Raises:
        InvalidInputError: No modality has one of them.

    Example:
        >>> list(suited_policies(("mixup", "shift"), 3)), list(suited_policies(("shift",), 1))
        (['shift', 'mixup'], [])
    """
    found: dict[str, Policy] = {}
    for policy in check_policies(policies, game=game):
        for modality in MODALITIES:
            own = policies_of(modality, game=game).get(policy)
            if own is not None and own.axes == axes:
                found.setdefault(policy, own)
    return found
