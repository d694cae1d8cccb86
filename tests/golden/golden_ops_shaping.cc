// Views, joins, padding and elements by their number: ops.h, shaping.h, indexing.h.

#include "core/ops/ops.h"
#include "tests/golden/golden_ops.h"

namespace trireme::testing {
namespace {

using With = const Arguments&;

Shape shape(With with, const char* name = "shape") {
  return Shape(with.at(name).get<std::vector<int64_t>>());
}
std::vector<int> ints(With with, const char* name) { return with.at(name).get<std::vector<int>>(); }

}  // namespace

GoldenOps golden_shaping_ops() {
  GoldenOps ops;
  // Of x alone.
  const auto add = [&](const char* name, auto op) {
    ops[name] = [op](Operands& in, With with) { return Tensors{op(in["x"], with)}; };
  };
  using In = const Tensor&;
  add("reshape", [](In x, With with) { return reshape(x, shape(with)); });
  add("transpose", [](In x, With with) { return transpose(x, with.at("dim0"), with.at("dim1")); });
  add("permute", [](In x, With with) { return permute(x, ints(with, "order")); });
  add("slice",
      [](In x, With with) { return slice(x, with.at("dim"), with.at("begin"), with.at("end")); });
  add("expand", [](In x, With with) { return expand(x, shape(with)); });
  add("squeeze", [](In x, With with) { return squeeze(x, with.at("dim")); });
  add("unsqueeze", [](In x, With with) { return unsqueeze(x, with.at("dim")); });
  add("flip", [](In x, With with) { return flip(x, ints(with, "dims")); });
  add("pad", [](In x, With with) {
    return pad(x, with.at("padding").get<std::vector<int64_t>>(), with.at("value"));
  });
  add("repeat", [](In x, With with) { return repeat(x, shape(with, "repeats")); });
  add("tril", [](In x, With with) { return tril(x, with.at("diagonal")); });
  add("triu", [](In x, With with) { return triu(x, with.at("diagonal")); });
  ops["split"] = [](Operands& in, With with) {
    if (with.contains("size"))
      return split(in["x"], with.at("size").get<int64_t>(), with.at("dim"));
    const auto sizes = with.at("sizes").get<std::vector<int64_t>>();
    return split(in["x"], std::span<const int64_t>(sizes), with.at("dim"));
  };
  ops["chunk"] = [](Operands& in, With with) {
    return chunk(in["x"], with.at("count"), with.at("dim"));
  };
  ops["concat"] = [](Operands& in, With with) {
    return Tensors{concat(in.list(), with.at("dim").get<int>())};
  };
  ops["stack"] = [](Operands& in, With with) { return Tensors{stack(in.list(), with.at("dim"))}; };
  ops["index_select"] = [](Operands& in, With with) {
    return Tensors{index_select(in["x"], with.at("dim"), in["index"])};
  };
  ops["gather"] = [](Operands& in, With with) {
    return Tensors{gather(in["x"], with.at("dim"), in["index"])};
  };
  ops["scatter_add"] = [](Operands& in, With with) {
    return Tensors{scatter_add(in["x"], with.at("dim"), in["index"], in["src"])};
  };
  ops["one_hot"] = [](Operands& in, With with) {
    return Tensors{one_hot(in["ids"], with.at("classes"))};
  };
  ops["embedding"] = [](Operands& in, With) { return Tensors{embedding(in["weight"], in["ids"])}; };
  return ops;
}

}  // namespace trireme::testing
