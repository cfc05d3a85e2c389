"""`ganaccel run`: the whole journey."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import console, show_error, show_json
from keras_ganaccel.config import RunConfig, preset, with_values
from keras_ganaccel.config_file import load_config, parse_settings, to_dict
from keras_ganaccel.errors import InvalidInputError, RunInterrupted
from keras_ganaccel.files import shown
from keras_ganaccel.journey.user_model import check_model_file
from keras_ganaccel.rundir import RunFolder, check_out_folder

EXAMPLE = "Example: ganaccel run --data my_images/ --image-size 32 --preset quick --out runs/first"


@options.takes_data()
def command(
    data: options.DataOptions,
    preset_name: Annotated[
        str | None,
        typer.Option("--preset", metavar="quick|default|best", help="How much work to do."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="FILE.keras", help="Your own classifier as the student.")
    ] = None,
    reinitialize: Annotated[
        bool, typer.Option("--reinitialize", help="Start your model from new weights.")
    ] = False,
    input_range: options.InputRange = None,
    allow_unsafe: options.AllowUnsafe = False,
    generator: Annotated[
        str | None, typer.Option(metavar="FILE", help="An earlier run's generator.keras.")
    ] = None,
    pool: Annotated[
        str | None, typer.Option(metavar="DIR", help="An earlier run's pool of samples.")
    ] = None,
    no_gan: Annotated[
        bool, typer.Option("--no-gan", help="The same journey without generated data.")
    ] = False,
    generate_anyway: Annotated[
        bool, typer.Option("--generate-anyway", help="Train the GAN even without headroom for it.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run folder to make.")] = None,
    publish: Annotated[
        str | None, typer.Option(metavar="NAME", help="Copy what is deployed to saved_models/NAME.")
    ] = None,
    seed: options.OptionalSeed = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with a run that was stopped.")
    ] = None,
    strategy: options.Strategy = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.yaml", help="Settings, such as a run's config.yaml."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="key=value", help="One setting; repeatable."),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Write a TensorFlow profile into the run folder.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show the plan, and stop.")
    ] = False,
    json_output: options.Json = False,
) -> None:
    """From labelled data to a verified TFLite file, with a report."""
    given = {
        **data.settings(),
        "model.path": model,
        "model.reinitialize": reinitialize or None,
        "model.input_range": options.parse_range(input_range, "--input-range"),
        "model.allow_unsafe": allow_unsafe or None,
        "reuse.generator": generator,
        "reuse.pool": pool,
        "gan.enabled": False if no_gan else None,
        "gate.generate_anyway": generate_anyway or None,
        "seed": seed,
        "strategy": strategy,
    }
    values = {name: value for name, value in given.items() if value is not None}
    values.update(parse_settings(settings or []))
    if resume is not None:
        if values or preset_name or config or out:
            raise InvalidInputError(
                "A resumed run keeps its configuration and folder. Received: --resume with other "
                "settings. Leave those out, or start a new run."
            )
        run = RunFolder(resume)
        run.check()
        resolved = run.config
    else:
        resolved = _resolve(preset_name, config, values)
        if out is not None:
            check_out_folder(out)
    _check_named_files(resolved)
    _check_publish(publish)
    if dry_run:
        _show_plan(resolved, json_output)
        return
    _accelerate(resolved, out, resume, publish, profile, json_output)


def _resolve(preset_name: str | None, file: Path | None, values: dict[str, Any]) -> RunConfig:
    if preset_name and file:
        raise InvalidInputError(
            f"`--config` names its preset itself. Received: --preset {preset_name}. "
            "Leave out one of the two."
        )
    base = load_config(file) if file else preset(preset_name or "default")
    return with_values(base, values)


def _check_named_files(config: RunConfig) -> None:
    if config.model.path is not None:
        check_model_file(config.model.path, allow_unsafe=config.model.allow_unsafe)
    if config.reuse.generator is not None:
        check_model_file(config.reuse.generator)
    if config.reuse.pool is not None:
        options.existing(Path(config.reuse.pool) / "pool.json", "The pool")


def _check_publish(name: str | None) -> None:
    if name is None:
        return
    if name in ("", "..") or Path(name).name != name:
        raise InvalidInputError(
            f"`--publish` takes a plain name. Received: {name!r}. It becomes a folder of "
            "saved_models/."
        )
    if (Path("saved_models") / name).exists():
        raise InvalidInputError(
            f"The place to publish to exists already. Received: saved_models/{name}. "
            "Choose another name, or remove it."
        )


def _show_plan(config: RunConfig, json_output: bool) -> None:
    from keras_ganaccel.journey.accelerate import check_first_networks, fitted_to, load_for_run

    data = load_for_run(config)
    check_first_networks(config.gan)
    from keras_ganaccel.journey.names import check_names
    from keras_ganaccel.modality.registry import modality_of

    check_names(config)
    plan = {
        "data": {
            "name": data.name,
            "modality": data.spec.modality,
            "shape": list(data.spec.sample_shape),
            "classes": list(data.spec.class_names),
            **modality_of(data.spec).facts(data.spec),
            "train": len(data.splits.train),
            "validation": len(data.splits.validation),
            "test": len(data.splits.test),
            "warnings": list(data.audit.warnings),
            "skipped": list(data.audit.skipped),
        },
        "config": to_dict(fitted_to(config, data)),
    }
    if json_output:
        show_json(plan)
    else:
        # Escaped where the console could not show it, so that it stays what it is.
        plain = not (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
        print(yaml.safe_dump(plan, sort_keys=False, allow_unicode=not plain), end="")


def _accelerate(
    config: RunConfig,
    out: Path | None,
    resume: Path | None,
    publish: str | None,
    profile: bool,
    json_output: bool,
) -> None:
    from keras_ganaccel.journey.accelerate import accelerate
    from keras_ganaccel.journey.progress import make_progress

    progress = make_progress(console(json_output))
    try:
        result = accelerate(
            config=None if resume else config,
            out=out,
            resume=resume,
            progress=progress,
            profile=profile,
        )
    except RunInterrupted as interrupt:
        # What else was asked for is wanted then, too.
        more = [*(["--publish", publish] if publish else []), *(["--json"] if json_output else [])]
        show_error(" ".join([str(interrupt), *(shlex.quote(word) for word in more)]))
        raise typer.Exit(130) from None
    published = result.publish(publish) if publish else None
    if json_output:
        show_json(
            {
                "folder": str(result.folder),
                "report": str(result.report),
                "published": str(published) if published else None,
                "ledger": result.ledger.values,
            }
        )
        return
    verdict, *findings = result.ledger.findings()
    print(f"\n{verdict}\n")
    print(result.ledger)
    print()
    for finding in findings:
        print(f"- {finding}")
    print(f"\nReport: {shown(result.report)}")
    if published:
        print(f"Published: {published}")
