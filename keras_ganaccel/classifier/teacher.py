"""The teacher: a mixed ensemble, far better on few labels than any of its members."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganaccel.classifier.build import architectures, build_classifier
from keras_ganaccel.classifier.ensemble import Ensemble, load_member, save_member
from keras_ganaccel.classifier.held_out import Plan, evidence_of, plan_for, weights_of
from keras_ganaccel.classifier.members import ask
from keras_ganaccel.classifier.shallow import KINDS, ShallowTeacher
from keras_ganaccel.classifier.train import train_classifier
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.json_files import write_json
from keras_ganaccel.seeds import derive_seed

logger = logging.getLogger(__name__)

# Members that say less than this are not worth asking, unless they can be exported.
_LEAST_WEIGHT = 0.02


def build_teacher(
    spec: Spec,
    x: np.ndarray,
    y: np.ndarray,
    *,
    members: Sequence[str] = ("svm", "extra_trees", "convnet", "convnet"),
    size: str = "base",
    steps: int = 1500,
    batch_size: int = 64,
    augmentation: Sequence[str] = ("shift", "mixup"),
    seed: int = 0,
    groups: np.ndarray | None = None,
    parts: str | Path | None = None,
    verbose: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Ensemble:
    """Trains an ensemble on labelled samples, and weighs its members by what they are worth.

    The rows of tables are cheap to learn from: each member is fitted once per fold (five; three
    beyond 4,000 rows), its fits vote together, and the members' shares are those that make the
    held-out labels likeliest. Of 2,000 and more larger samples a twentieth is held out from
    the Keras members to weigh all by; with fewer, all count the same. Time and memory grow with
    the samples and no faster: see `ShallowTeacher`.

    Args:
        spec: The description of the data.
        x: float32 vectors ``(n, width)``, or images ``(n, height, width, channels)`` in [0, 1].
        y: Integer labels ``(n,)``; rows with -1 are left out. Two samples a class suffice.
        members: Out of ``"svm"``, ``"extra_trees"``, ``"boosted_trees"``, ``"logistic"``, and
            names of `build_classifier`.
        size: Size of the Keras members.
        steps: Optimizer steps of each fit of a Keras member.
        batch_size: Samples per step.
        augmentation: Policies for the Keras members, of tables ``"mixup"`` alone. The others see
            every image shifted by a pixel, if ``"shift"`` is among these.
        seed: Seed of weights, order, augmentation and trees; each member has its own.
        groups: One group per sample ``(n,)``, such as a person; no group is on both sides of a
            fold.
        parts: A folder that keeps each member as soon as it is trained; called again with the
            same arguments after an interruption, those that are there are not trained anew.
        verbose: How much `fit` shows.
        progress: Called before each member with its index, how many there are, and its name.

    Returns:
        The ensemble; `Ensemble.evidence` tells how its members were weighed.

    Raises:
        InvalidInputError: An unknown member, or fewer than two classes.

    Example:
        >>> import keras_ganaccel as ga
        >>> data = ga.load_data("digits", labels_per_class=20)
        >>> x, y = data.arrays("train")
        >>> teacher = ga.build_teacher(data.spec, x, y, members=("svm",))
        >>> teacher.predict_proba(x[:3]).shape
        (3, 10)
    """
    _check_members(members, spec)
    x, y, groups = _labelled(x, y, groups)
    plan = plan_for(x, y, derive_seed(seed, "teacher", "folds"), groups)
    if x.ndim == 2:
        # Vectors can be mixed; all other policies move pixels.
        augmentation = [policy for policy in augmentation if policy == "mixup"]
    recipe = _Recipe(spec, size, steps, batch_size, tuple(augmentation), verbose)
    digest = _digest(x, y, groups, recipe, seed) if parts is not None else ""
    fitted: list[_Fitted] = []
    for index, member in enumerate(members):
        logger.info("Training member %d of the teacher: %s", index, member)
        if progress is not None:
            progress(index, len(members), member)
        own_seed = derive_seed(seed, "teacher", index)
        key = {"member": member, "seed": own_seed, "inputs": digest}
        kept = None if parts is None else _kept(Path(parts) / f"part{index}", key)
        if kept is None:
            kept = _fit(recipe, member, index, x, y, plan, own_seed)
            if parts is not None:
                _keep(Path(parts) / f"part{index}", kept, key)
        fitted.append(kept)
    return _weighed(members, fitted, y, plan)


@dataclasses.dataclass(frozen=True)
class _Recipe:
    """What the members have in common."""

    spec: Spec
    size: str
    steps: int
    batch_size: int
    augmentation: tuple[str, ...]
    verbose: int


@dataclasses.dataclass(frozen=True, eq=False)
class _Fitted:
    """The fits of one member, and what they answered to rows that they had not seen."""

    models: list[Any]
    held_out: np.ndarray | None

    @property
    def answers(self) -> np.ndarray:
        assert self.held_out is not None, "the member was fitted on all rows"
        return self.held_out


def _check_members(members: Sequence[str], spec: Spec) -> None:
    known = (*KINDS, *architectures(spec.modality))
    for member in members:
        if member.lower() not in {name.lower() for name in known}:
            raise InvalidInputError(
                f"Unknown member of the teacher. Received: {member!r}. {nearest(member, known)}"
            )


def _labelled(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    x, y = np.asarray(x, np.float32), np.asarray(y).astype(np.int64)
    groups = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    labelled = y >= 0
    if not labelled.all():
        x, y = x[labelled], y[labelled]
        groups = None if groups is None else groups[labelled]
    if len(np.unique(y)) < 2:
        raise InvalidInputError(
            f"A teacher needs samples of two classes. Received: {len(np.unique(y))}. Label more."
        )
    return x, y, groups


def _fit(
    recipe: _Recipe,
    member: str,
    index: int,
    x: np.ndarray,
    y: np.ndarray,
    plan: Plan | None,
    seed: int,
) -> _Fitted:
    """Fits a member on each part of the plan, or on all rows where there is none."""
    if plan is None:
        return _Fitted([_fit_once(recipe, member, f"{member}{index}", x, y, None, seed)], None)
    models, answers = [], []
    for fold, (learned, held) in enumerate(plan.splits):
        own_seed = derive_seed(seed, "fold", fold) if plan.bagged else seed
        name = f"{member}{index}_{fold}" if plan.bagged else f"{member}{index}"
        held_out = (x[held], y[held])
        model = _fit_once(recipe, member, name, x[learned], y[learned], held_out, own_seed)
        answers.append(ask(model, x[held], recipe.spec.num_classes))
        models.append(model)
    if not plan.bagged and member in KINDS:
        models = [model.refit(x, y) for model in models]
    return _Fitted(models, np.concatenate(answers))


def _fit_once(
    recipe: _Recipe,
    member: str,
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray] | None,
    seed: int,
) -> Any:
    if member in KINDS:
        shallow = ShallowTeacher(
            member, recipe.spec.num_classes, seed, "shift" in recipe.augmentation
        )
        return shallow.fit(x, y, held_out)
    model = build_classifier(recipe.spec, member, recipe.size, seed=seed, name=name)
    train_classifier(
        model,
        (x, y),
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        augmentation=recipe.augmentation,
        seed=seed,
        verbose=recipe.verbose,
    )
    return model


def _weighed(
    names: Sequence[str], fitted: Sequence[_Fitted], y: np.ndarray, plan: Plan | None
) -> Ensemble:
    """Joins the members, by what their held-out answers say of them if there are any."""
    if plan is None:
        return Ensemble([model for each in fitted for model in each.models])
    judged, chances = y[plan.judged], np.stack([each.answers for each in fitted])
    weights = weights_of(chances, judged)
    kept = [
        weight >= _LEAST_WEIGHT or isinstance(each.models[0], keras.Model)
        for each, weight in zip(fitted, weights, strict=True)
    ]
    weights = np.where(kept, weights, 0.0) / weights[kept].sum()
    evidence = [evidence_of(*each, judged) for each in zip(names, weights, chances, strict=True)]
    for each in evidence:
        logger.info("The teacher's %s", each)
    members = [
        (model, weight / len(each.models))
        for each, weight, keeps in zip(fitted, weights, kept, strict=True)
        for model in each.models
        if keeps
    ]
    return Ensemble([model for model, _ in members], [share for _, share in members], evidence)


def _digest(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray | None, recipe: _Recipe, seed: int
) -> str:
    """What the members' fits are a function of."""
    digest = hashlib.sha256(repr((recipe, seed, x.shape)).encode())
    for array in (x, y, groups):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _keep(folder: Path, fitted: _Fitted, key: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = [save_member(folder, f"fit{i}", model) for i, model in enumerate(fitted.models)]
    answers = None if fitted.held_out is None else fitted.held_out.tolist()
    write_json(folder / "part.json", {"key": key, "files": files, "held_out": answers})


def _kept(folder: Path, key: dict[str, Any]) -> _Fitted | None:
    """What `_keep` wrote for the same member, if it is there and whole."""
    try:
        described = json.loads((folder / "part.json").read_text(encoding="utf-8"))
        if described["key"] != key:
            return None
        models = [load_member(folder / name) for name in described["files"]]
    # A damaged file raises nearly anything.
    except Exception:
        return None
    answers = described["held_out"]
    return _Fitted(models, None if answers is None else np.asarray(answers, np.float32))
