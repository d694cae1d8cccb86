"""Convolutions and transposed ones: channels lie last, so filters are permuted as images are."""

from torch.nn import functional as F

from golden import case, real


def first(t):
    return t.movedim(-1, 1).contiguous()


def of(function):
    def conv(x, weight, bias=None, **options):
        return function(first(x), first(weight), bias, **options).movedim(1, -1).contiguous()

    return conv


CASES = {
    "conv2d": (
        ((2, 5, 6, 3), (4, 3, 3, 3), {}),
        ((1, 7, 5, 2), (3, 3, 2, 2), {"stride": [2, 1], "padding": [1, 2]}),
        ((2, 6, 6, 4), (4, 3, 3, 2), {"groups": 2, "padding": [1, 1]}),
        ((1, 7, 7, 2), (2, 3, 3, 2), {"dilation": [2, 3], "padding": [2, 3]}),
        ((2, 4, 4, 3), (6, 3, 3, 1), {"groups": 3, "padding": [1, 1]}),
        ((2, 4, 3, 5), (2, 1, 1, 5), {}),
        ((1, 3, 3, 1), (1, 3, 3, 1), {}),
        ((1, 8, 8, 3), (4, 7, 7, 3), {"stride": [2, 2], "padding": [3, 3]}),
        ((0, 4, 4, 2), (3, 3, 3, 2), {})),
    "conv1d": (
        ((2, 7, 3), (4, 3, 3), {}),
        ((1, 9, 4), (6, 2, 2), {"stride": [3], "padding": [1], "groups": 2}),
        ((2, 8, 2), (3, 3, 2), {"dilation": [2], "padding": [4]})),
    "conv_transpose2d": (
        ((2, 3, 4, 3), (3, 3, 2, 4), {}),
        ((1, 4, 3, 2), (2, 3, 3, 3), {"stride": [2, 3], "padding": [1, 0],
                                      "output_padding": [1, 2]}),
        ((2, 3, 3, 4), (4, 2, 3, 3), {"groups": 2, "dilation": [2, 1], "stride": [1, 2]}),
        ((1, 1, 1, 1), (1, 1, 1, 1), {})),
    "conv_transpose1d": (
        ((2, 5, 3), (3, 3, 4), {}),
        ((1, 4, 4), (4, 3, 1), {"stride": [2], "padding": [1], "output_padding": [1],
                                "groups": 2})),
}


def write_cases(call, name_of, names):
    """A case with and without bias of each; name_of("conv2d") is what `call` is registered as."""
    for kind in names:
        for x, weight, options in CASES[kind]:
            operands = {"x": real(*x), "weight": real(*weight, low=-0.5, high=0.5)}
            out = weight[-1] * options.get("groups", 1) if "transpose" in kind else weight[0]
            for bias in ({}, {"bias": real(out)}):
                # cuDNN may have no kernel that adds the bias of a transposed one.
                more = 1 if bias and "transpose" in kind else 0
                case(name_of(kind), call(kind), {**operands, **bias}, slack=32, more_on_cuda=more,
                     **options)


def functional(kind):
    return of(getattr(F, kind))
