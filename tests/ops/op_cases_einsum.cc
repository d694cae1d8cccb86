// Rows of products in other forms. The reference of einsum sums over every value of every letter.

#include <map>
#include <set>

#include "core/ops/ops.h"
#include "tests/ops/array_index.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

std::vector<std::string> terms_of(std::string text) {
  std::vector<std::string> terms(1);
  for (char c : text) {
    if (c == ',') {
      terms.emplace_back();
    } else if (c != '-' && c != '>') {
      terms.back() += c;
    } else if (c == '>') {
      terms.emplace_back();
    }
  }
  return terms;
}

Reference einsum_reference(const std::string& equation) {
  return [equation](const Arrays& in) {
    const std::vector<std::string> terms = terms_of(equation);
    std::map<char, int64_t> extents;
    for (size_t k = 0; k < in.size(); ++k) {
      for (size_t d = 0; d < terms[k].size(); ++d) {
        int64_t& extent = extents.try_emplace(terms[k][d], 1).first->second;
        if (extent == 1) extent = in[k].shape[static_cast<int>(d)];
      }
    }
    Shape all, result;
    std::map<char, size_t> places;
    for (const auto& [letter, extent] : extents) {
      places[letter] = places.size();
      all.push_back(extent);
    }
    for (char letter : terms.back()) result.push_back(extents[letter]);
    Array y = Array::zeros(result);
    each_index(all, [&](const Index& index, int64_t) {
      double value = 1;
      const auto position = [&](const Shape& shape, const std::string& term) {
        Index at;
        for (size_t d = 0; d < term.size(); ++d) {
          at.push_back(shape[static_cast<int>(d)] == 1 ? 0 : index[places[term[d]]]);
        }
        return position_of(shape, at);
      };
      for (size_t k = 0; k < in.size(); ++k) value *= in[k][position(in[k].shape, terms[k])];
      y[position(result, terms.back())] += value;
    });
    return y;
  };
}

/// `letters` is the equation without `...` and with its output.
OpCase einsum_case(const std::string& name, const std::string& equation, const Shapes& shapes,
                   const std::string& letters) {
  std::vector<OpInput> inputs;
  Shapes none;
  const std::vector<std::string> terms = terms_of(letters);
  for (size_t k = 0; k < shapes.size(); ++k) {
    inputs.push_back(real(shapes[k]));
    none.push_back(shapes[k]);
    for (size_t d = 0; d < terms[k].size(); ++d) {
      if (terms[k][d] == letters[0]) none.back()[static_cast<int>(d)] = 0;
    }
  }
  return {.name = "einsum_" + name,
          .inputs = inputs,
          .op = [equation](const Tensors& in) { return einsum(equation, in); },
          .reference = einsum_reference(letters),
          .tolerance = 1e-5,
          // Each product is rounded, and what is summed before it.
          .roundings = shapes.size() > 2 ? 16 : 4,
          .empty_shapes = none};
}
OpCase einsum_case(const std::string& name, const std::string& equation, const Shapes& shapes) {
  return einsum_case(name, equation, shapes, equation);
}

OpCase addmm_case(const std::string& name, const Shape& x, double beta, double alpha) {
  OpInput added = real(x);
  added.needs_grad = beta != 0;
  return {.name = "addmm_" + name,
          .inputs = {added, real({3, 5}), real({5, 4})},
          .op = [=](const Tensors& in) { return addmm(in[0], in[1], in[2], beta, alpha); },
          .reference =
              [=](const Arrays& in) {
                Array y = einsum_reference("ik,kj->ij")({in[1], in[2]});
                const Shape& s = y.shape;
                const bool is_row = in[0].shape.rank() == 1;
                for (int64_t i = 0; i < s.product(); ++i) {
                  y[i] = beta * in[0][is_row ? i % s[1] : i] + alpha * y[i];
                }
                return y;
              },
          .tolerance = 1e-5,
          .roundings = 4,
          .empty_shapes = {{x.rank() == 1 ? x : Shape{0, 4}, {0, 5}, {5, 4}}}};
}

}  // namespace

std::vector<OpCase> einsum_cases() {
  return {
      {.name = "bmm",
       .inputs = {real({2, 3, 4}), real({2, 4, 5})},
       .op = [](const Tensors& in) { return bmm(in[0], in[1]); },
       .reference = einsum_reference("bik,bkj->bij"),
       .tolerance = 1e-5,
       .empty_shapes = {{{0, 3, 4}, {0, 4, 5}}}},
      addmm_case("bias", {4}, 1, 1),
      addmm_case("scaled", {3, 4}, 0.5, 2),
      addmm_case("alone", {3, 4}, 0, 1),
      einsum_case("product", "ij,jk->ik", {{3, 4}, {4, 5}}),
      einsum_case("implied", " ij, jk", {{3, 4}, {4, 5}}, "ij,jk->ik"),
      einsum_case("scores", "bqhd,bkhd->bhqk", {{2, 3, 2, 4}, {2, 5, 2, 4}}),
      einsum_case("outer", "i,j->ij", {{3}, {4}}),
      einsum_case("elementwise", "ij,ij->ij", {{3, 4}, {3, 4}}),
      einsum_case("inner", "i,i->", {{5}, {5}}),
      einsum_case("sums", "ijk,kl->l", {{2, 3, 4}, {4, 5}}),
      einsum_case("one_operand", "ijk->kj", {{2, 3, 4}}),
      einsum_case("diagonal", "ii->i", {{4, 4}}),
      einsum_case("trace_of_product", "ij,ji", {{3, 4}, {4, 3}}, "ij,ji->"),
      einsum_case("batches", "...ij,...j->...i", {{2, 3, 4, 5}, {3, 5}}, "abij,bj->abi"),
      einsum_case("of_extent_one", "ij,ij->i", {{3, 1}, {3, 4}}),
      einsum_case("three", "ij,jk,kl->il", {{2, 3}, {3, 4}, {4, 2}}),
      einsum_case("bilinear", "bi,oij,bj->bo", {{3, 2}, {4, 2, 3}, {3, 3}}),
  };
}

}  // namespace trireme::testing
