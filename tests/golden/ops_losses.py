"""Losses with all their options: ops.h, losses.h."""

from torch.nn import functional as F

from golden import Operand, INF, NAN, WIDE, case, const, given, ints, real, write

REDUCTIONS = ("none", "mean", "sum")


def ignoring(ids):
    """The same numbers, but for the second one."""
    def draw(rng):
        values = ids.draw(rng)
        values.flatten()[1] = -100
        return values

    return Operand(draw, False)


def between(*shape):
    """Targets that equal no real(..) of the range [-2, 2)."""
    half = real(*shape, low=-1, high=1)
    return Operand(lambda rng: (half.draw(rng) * 128).floor() / 128 + 2.0**-8, True)


def log_probabilities(*shape):
    # Rounded logarithms: a loss does not ask that they add up to 1.
    return real(*shape, low=-4, high=0)


def entropy(logits, targets, classes=0, **options):
    if classes:
        logits = logits[..., :classes]
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), **options)


for shape, rows in (((5, 7), (5,)), ((2, 3, 4), (2, 3)), ((1, 1), (1,))):
    operands = {"logits": real(*shape, low=-4, high=4), "targets": ints(*rows, high=shape[-1])}
    for op in ("cross_entropy", "cross_entropy_inplace"):
        case(op, entropy, operands, slack=8)
        if shape[-1] > 1:
            case(op, entropy, {**operands, "targets": ignoring(operands["targets"])}, slack=8)
            case(op, entropy, {"logits": operands["logits"], "targets": ints(*rows, high=3)},
                 classes=3, slack=8)
            case(op, entropy, operands, ignore_index=1, slack=8)
LARGE = given([[1e4, 0.0, -1e4], [100, 88, 88], [-1e4, -1e4, -1e4], [-3e38, 1.0, 2.0]])
for op in ("cross_entropy", "cross_entropy_inplace"):
    case(op, entropy, {"logits": LARGE, "targets": given([0, 1, 2, 2])}, dtypes=WIDE, slack=8)
    case(op, entropy, {"logits": LARGE, "targets": given([1, 0, 0, 1])}, dtypes=WIDE, slack=8)
case("cross_entropy", entropy, {"logits": const(given([[NAN, 0.0], [1.0, 2.0]])),
                                "targets": given([0, 1])})

for reduction in REDUCTIONS:  # no row counts
    nobody = {"targets": given([-100, -100])}
    case("cross_entropy", entropy, {"logits": const(real(2, 3)), **nobody}, reduction=reduction)
    case("nll_loss", lambda log_p, targets, reduction: F.nll_loss(
        log_p, targets, reduction=reduction), {"log_p": const(real(2, 3)), **nobody},
         reduction=reduction)
for reduction in REDUCTIONS:
    r = {"reduction": reduction, "slack": 8, "roundings": 4}
    ids = ints(6, high=5)
    weight = {"weight": real(5, low=0.25, high=2, grad=False)}
    for targets in (ids, ignoring(ids)):
        logits = {"logits": real(6, 5, low=-4, high=4), "targets": targets}
        case("cross_entropy", entropy, logits, **r)
        case("cross_entropy", entropy, {**logits, **weight}, **r)
        case("cross_entropy", entropy, {**logits, **weight}, label_smoothing=0.25, **r)
        case("cross_entropy", entropy, logits, label_smoothing=0.125, **r)
        likely = {"log_p": log_probabilities(6, 5), "targets": targets}

        def nll(log_p, targets, **options):
            return F.nll_loss(log_p, targets, **options)

        case("nll_loss", nll, likely, **r)
        case("nll_loss", nll, {**likely, **weight}, **r)
    pair = {"x": real(4, 6), "targets": real(4, 6)}
    case("mse_loss", lambda x, targets, reduction: F.mse_loss(x, targets, reduction=reduction),
         pair, **r)
    case("l1_loss", lambda x, targets, reduction: F.l1_loss(x, targets, reduction=reduction), pair,
         **r)
    for beta in (1, 0.75):
        case("smooth_l1_loss", lambda x, targets, beta, reduction: F.smooth_l1_loss(
            x, targets, beta=beta, reduction=reduction), pair, beta=beta, **r)
    # At x = t torch has the slope of one side there; l1_loss has none.
    case("smooth_l1_loss", lambda x, targets, beta, reduction: F.smooth_l1_loss(
        x, targets, beta=beta, reduction=reduction), {"x": real(4, 6), "targets": between(4, 6)},
         beta=0, **r)
    for delta in (1, 0.75):
        case("huber_loss", lambda x, targets, delta, reduction: F.huber_loss(
            x, targets, delta=delta, reduction=reduction), pair, delta=delta, **r)
    likely = {"x": log_probabilities(4, 6)}
    case("kl_div", lambda x, targets, form, reduction: F.kl_div(x, targets, reduction=reduction),
         {**likely, "targets": real(4, 6, low=0.0625, high=1)}, form="probability", **r)
    case("kl_div", lambda x, targets, form, reduction: F.kl_div(
        x, targets, reduction=reduction, log_target=True),
         {**likely, "targets": log_probabilities(4, 6)}, form="log", **r)

    def bce(x, targets, **options):
        return F.binary_cross_entropy_with_logits(x, targets, **options)

    pair = {"x": real(4, 6, low=-8, high=8), "targets": real(4, 6, low=0, high=1)}
    factors = {"weight": real(6, low=0.25, high=2, grad=False),
               "pos_weight": real(4, 6, low=0.25, high=2, grad=False)}
    case("binary_cross_entropy_with_logits", bce, pair, **r)
    case("binary_cross_entropy_with_logits", bce, {**pair, **factors}, **(r | {"roundings": 8}))

# A NaN has a gradient of NaN here, in torch one of 0 where the loss is a sign.
far = {"x": given([1e4, -1e4, INF, -INF, 3e38, 0.0]),
       "targets": given([-1e4, 1e4, 1.0, 1.0, 0.0, 0.0], grad=False)}
for op, function in {"l1_loss": F.l1_loss, "smooth_l1_loss": F.smooth_l1_loss,
                     "huber_loss": F.huber_loss, "mse_loss": F.mse_loss}.items():
    case(op, lambda x, targets, reduction, f=function: f(x, targets, reduction=reduction), far,
         reduction="none", dtypes=WIDE, compare="relative", roundings=2, slack=4)
    case(op, lambda x, targets, reduction, f=function: f(x, targets, reduction=reduction),
         {"x": const(given([NAN, 1.0])), "targets": const(given([1.0, NAN]))}, reduction="sum")
case("binary_cross_entropy_with_logits", bce,
     {"x": given([1e4, -1e4, 1e4, -1e4, 88, 3e38]),
      "targets": given([0.0, 1.0, 1.0, 0.0, 0.5, 0.0], grad=False)}, reduction="none", dtypes=WIDE,
     slack=4)
case("kl_div", lambda x, targets, form, reduction: F.kl_div(x, targets, reduction=reduction),
     {"x": given([-1.0, -2.0, -1e4]), "targets": given([0.0, 0.5, 1.0], grad=False)},
     form="probability", reduction="none", dtypes=WIDE)

write("ops_losses")
