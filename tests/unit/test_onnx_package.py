"""The ONNX package's own models: what has 2-D convolutions, pools and activations builds, the others are refused."""

from __future__ import annotations

import pytest
from onnx_package import package_models, sqnr_against_recorded

from mbn2c.errors import ModelError

# dB of our int8 network against the recorded outputs, calibrated on the recorded input, rounded down. All have opset 6
# or 9, most a batch of 2 to 4.
BUILDS = {
    "test_AvgPool2d": 40,
    "test_AvgPool2d_stride": 40,
    "test_BatchNorm2d_eval": 41,
    "test_BatchNorm2d_momentum_eval": 41,
    "test_Conv2d": 41,
    "test_Conv2d_depthwise": 41,
    "test_Conv2d_depthwise_padded": 40,
    "test_Conv2d_depthwise_strided": 39,
    "test_Conv2d_depthwise_with_multiplier": 38,
    "test_Conv2d_dilated": 41,
    "test_Conv2d_groups": 41,
    "test_Conv2d_groups_thnn": 40,
    "test_Conv2d_no_bias": 41,
    "test_Conv2d_padding": 39,
    "test_Conv2d_strided": 42,
    "test_ConvTranspose2d": 40,
    "test_ConvTranspose2d_no_bias": 39,
    "test_ELU": 42,
    "test_GLU": 44,
    "test_LeakyReLU": 42,
    "test_LeakyReLU_with_negval": 42,
    "test_Linear": 42,
    "test_Linear_no_bias": 39,
    "test_MaxPool2d": 47,
    "test_MaxPool2d_stride_padding_dilation": 69,
    "test_PReLU_1d": 46,
    "test_PReLU_1d_multiparam": 43,
    "test_PReLU_2d": 42,
    "test_PReLU_2d_multiparam": 42,
    "test_PixelShuffle": 45,
    "test_ReLU": 44,
    "test_SELU": 44,
    "test_Sigmoid": 50,
    "test_Softmin": 43,
    "test_Softplus": 46,
    "test_Softsign": 44,
    "test_Tanh": 40,
    "test_operator_clip": 40,
    "test_operator_conv": 52,
    "test_operator_convtranspose": 44,
    "test_operator_reduced_mean": 44,
    "test_operator_reduced_mean_keepdim": 44,
    "test_operator_selu": 44,
}
# Classifiers with constant weights, whose recorded outputs are all alike; activations of the others reach 1e15, or they
# have LRN.
LIGHT = {"light_densenet121": 34, "light_inception_v2": 100, "light_shufflenet": 100, "light_squeezenet": 100}
# Of what the table leaves out, once an operator that it needs is there.
_LEAST = 30
MODELS = package_models()


_EACH = [pytest.param(name, marks=pytest.mark.slow if name.startswith("light_") else ()) for name in MODELS]


@pytest.mark.parametrize("name", _EACH)
def test_it_agrees_with_its_recorded_outputs_or_is_refused(name: str) -> None:
    try:
        sqnr_db = sqnr_against_recorded(MODELS[name])
    except ModelError as error:
        assert name not in BUILDS | LIGHT, error
        assert error.what and error.hint
    else:
        assert sqnr_db >= (BUILDS | LIGHT).get(name, _LEAST)
