from keras_ganaccel.report.diagram import journey


def boxes(values):
    """The texts of every box: title, key figure, detail."""
    (axes,) = journey.__wrapped__(values).axes
    texts = [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in axes.texts]
    return {texts[i]: tuple(texts[i + 1 : i + 3]) for i in range(0, len(texts), 3)}


def test_every_stage_has_its_key_figure(ledger_values):
    assert boxes(ledger_values) == {
        "data": ("1,005", "training rows\n2 classes\nvalidation 252, test 540"),
        "teacher": ("99.3 %", "test accuracy\nensemble of 2"),
        "GAN": (
            "0.0123",
            "KID after 5,000 steps\ngenerated data alone\nteach 95.1 %, real 97.0 %",
        ),
        "gate": ("50 %", "generated samples\ngan 0.5\ngained 0.90 points"),
        "student": ("96.2 %", "test accuracy\n9,876 parameters"),
        "int8": ("95.7 %", "test accuracy\n14.0 kB\ncompressed 7.0 kB"),
        "pruned int8": ("95.1 %", "test accuracy\n14.1 kB\ncompressed 7.0 kB"),
    }


def test_what_the_run_did_without_says_so(ledger_values):
    gate = {**ledger_values["gate"], "decision": "real_only", "generated_fraction": 0.0}
    declined = boxes({**ledger_values, "gate": gate})
    assert declined["gate"] == ("real only", "of 3 arms on 3 pairs")
    alone = boxes({**ledger_values, "teacher": None})
    assert alone["teacher"] == ("97.8 %", "test accuracy\nof its exported file")
    bare = {
        **ledger_values,
        "teacher": None,
        "gan": None,
        "gate": {**gate, "arms": []},
        "stages": [],
    }
    assert boxes(bare)["GAN"] == ("none", "no generator was trained")
    assert boxes(bare)["gate"] == ("real only", "no arm was compared")
    assert list(boxes(bare)) == ["data", "GAN", "gate"]


def test_an_unmeasured_gan_and_long_names_fit(ledger_values):
    gan = {**ledger_values["gan"], "kid": None, "synthetic_only_accuracy": None}
    assert boxes({**ledger_values, "gan": gan})["GAN"] == ("5,000 steps", "KID was not measured")
    name = "generated_by_the_gan_then_real_only_for_the_rest_0.5"
    arm = {**ledger_values["gate"]["arms"][1], "name": name}
    gate = {**ledger_values["gate"], "decision": name, "arms": [arm]}
    detail = boxes({**ledger_values, "gate": gate})["gate"][1]
    assert max(map(len, detail.splitlines())) <= 26
