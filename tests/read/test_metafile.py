"""The metafile.yml of OpenMMLab: nulls, whole numbers and floats, what it was converted from."""

from __future__ import annotations

from cardproof.plan.recall import plan
from cardproof.read import read_cards
from cardproof.read.models import weights_file

METAFILE = """Collections:
  - Name: ResNet
    Metadata:
      Training Data: ImageNet-1k
      Training Techniques:
        - SGD with Momentum
      Epochs: 100
      Batch Size: 256
    Paper:
      URL: https://openaccess.thecvf.com/resnet.html
      Title: "Deep Residual Learning for Image Recognition"
    README: configs/resnet/README.md
    Code:
      URL: https://github.com/open-mmlab/mmpretrain/blob/v0.15.0/mmcls/models/backbones/resnet.py#L383
      Version: v0.15.0

Models:
  - Name: resnet18_8xb32_in1k
    Metadata:
      FLOPs: 1.82e+09
      Parameters: 11690000
    In Collection: ResNet
    Results:
      - Dataset: ImageNet-1k
        Metrics:
          Top 1 Accuracy: 69.90
          Top 5 Accuracy: 89.43
        Task: Image Classification
    Weights: https://download.openmmlab.com/resnet18_8xb32_in1k_20210831-fbbb1da6.pth
    Config: configs/resnet/resnet18_8xb32_in1k.py
  - Name: blip2_3rdparty_retrieval
    Metadata:
      FLOPs: null
      Parameters: 1173191358
    In Collection: ResNet
    Results: null
    Weights: null
    Config: configs/blip2/blip2_8xb32_retrieval.py
    Converted From:
      Weights: https://storage.googleapis.com/blip2_pretrained_opt2.7b.pth
      Code: https://github.com/salesforce/LAVIS
"""


def test_a_metafile_is_read_as_it_is(write):
    reading = read_cards([write("metafile.yml", METAFILE)])
    assert reading.findings == []
    first, second = reading.models
    assert (first.collections, second.collections) == (("ResNet",), ("ResNet",))
    claims = {claim.field: claim for claim in reading.cards[0].claims_of[0]}
    assert set(claims) == {
        "Training Data",
        "Training Techniques",
        "Epochs",
        "Batch Size",
        "FLOPs",
        "Parameters",
        "Top 1 Accuracy",
        "Top 5 Accuracy",
    }
    assert claims["FLOPs"].number.value == 1_820_000_000
    assert (claims["FLOPs"].place.line, claims["FLOPs"].place.column) == (20, 14)
    assert (claims["Top 1 Accuracy"].stated, claims["Top 1 Accuracy"].dataset) == ("69.90", "ImageNet-1k")
    assert claims["Epochs"].place.line == 7


def test_null_states_nothing_and_names_no_file(write):
    reading = read_cards([write("metafile.yml", METAFILE)])
    second = reading.models[1]
    assert "FLOPs" not in [claim.field for claim in reading.cards[0].claims_of[1]]
    assert weights_file(second) is None
    assert {need.weights for need in plan(reading).values()} == {
        None,
        "resnet18_8xb32_in1k_20210831-fbbb1da6.pth",
    }
