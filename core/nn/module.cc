#include "core/nn/module.h"

#include <algorithm>

#include "core/autograd/gradient_slot.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"

namespace trireme {
namespace {

bool holds(const StateDict& dict, const Tensor& tensor) {
  return std::any_of(dict.begin(), dict.end(),
                     [&](const auto& entry) { return entry.second.is_same(tensor); });
}

std::string join(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

}  // namespace

void Module::visit(const std::string& prefix,
                   const std::function<void(const std::string&, const Module&)>& fn) const {
  fn(prefix, *this);
  for (const auto& [name, child] : children_) child->visit(join(prefix, name), fn);
}

StateDict Module::named_parameters() const {
  StateDict result;
  visit("", [&](const std::string& prefix, const Module& module) {
    for (const auto& [name, p] : module.parameters_) {
      if (!holds(result, p)) result.emplace_back(join(prefix, name), p);
    }
  });
  return result;
}

StateDict Module::named_buffers() const {
  StateDict result;
  visit("", [&](const std::string& prefix, const Module& module) {
    for (const auto& [name, b] : module.buffers_) {
      if (!holds(result, b)) result.emplace_back(join(prefix, name), b);
    }
  });
  return result;
}

StateDict Module::state_dict() const {
  StateDict result = named_parameters();
  for (auto& entry : named_buffers()) result.push_back(std::move(entry));
  return result;
}

std::vector<std::pair<std::string, Generator*>> Module::named_generators() {
  std::vector<std::pair<std::string, Generator*>> result;
  apply([&](const std::string& prefix, Module& module) {
    for (const auto& [name, g] : module.generators_) result.emplace_back(join(prefix, name), g);
  });
  return result;
}

int64_t Module::num_parameters() const {
  int64_t count = 0;
  for (const auto& [name, p] : named_parameters()) count += p.numel();
  return count;
}

void Module::zero_grad() {
  for (const auto& [name, p] : named_parameters()) Tensor(p).zero_grad();
}

namespace {

/// Before anything moves: half of a model is no use.
void require_movable(const StateDict& tensors) {
  for (const auto& [name, tensor] : tensors) {
    require(!has_gradient_slot(tensor), "module", "cannot move '", name,
            "', its gradient lives in a bucket; move the model before wrapping it");
  }
}

/// `tensor` becomes what `moved` makes of it, for all who hold it.
template <typename Fn>
void replace(Tensor tensor, const Fn& moved) {
  const bool trains = tensor.requires_grad();
  tensor.set_requires_grad(false);
  const MemoryKindGuard kind(MemoryKind::kParameters);
  tensor.take_elements_of(moved(tensor));
  tensor.set_requires_grad(trains);
}

}  // namespace

void Module::to(Device device) {
  require_movable(state_dict());
  for (auto& [name, tensor] : state_dict()) {
    if (tensor.device() == device) continue;
    replace(tensor, [&](const Tensor& t) { return to_device(t, device); });
  }
}

void Module::to(DType dtype) {
  require(is_floating(dtype), "module", "parameters can be of a floating dtype only, got ", dtype);
  require_movable(state_dict());
  const auto convert = [](const StateDict& tensors, DType to) {
    for (const auto& [name, tensor] : tensors) {
      if (tensor.dtype() == to || !is_floating(tensor.dtype())) continue;
      replace(tensor, [&](const Tensor& t) {
        const Tensor converted = empty(t.shape(), {to, t.device()});
        copy_inplace(converted, t);
        return converted;
      });
    }
  };
  convert(named_parameters(), dtype);
  convert(named_buffers(), acc_dtype(dtype));
}

void Module::train(bool on) {
  apply([on](const std::string&, Module& module) { module.training_ = on; });
}

void Module::apply(const std::function<void(const std::string&, Module&)>& fn) {
  visit("", [&](const std::string& name, const Module& module) {
    fn(name, const_cast<Module&>(module));
  });
}

void Module::check_new_name(const std::string& name) const {
  const auto has = [&](const auto& list) {
    return std::any_of(list.begin(), list.end(), [&](const auto& e) { return e.first == name; });
  };
  require(!name.empty() && name.find('.') == std::string::npos, "module",
          "a name must not be empty or contain dots, got '", name, "'");
  require(!has(parameters_) && !has(buffers_) && !has(children_) && !has(generators_), "module",
          "'", name, "' is registered already");
}

void Module::register_parameter(const std::string& name, const Tensor& parameter) {
  check_new_name(name);
  require(parameter.defined(), "module", "parameter '", name, "' is undefined");
  require(parameter.is_leaf(), "module", "parameter '", name,
          "' must be a leaf, got the result of an op, ", parameter.dtype(), parameter.shape(),
          "; use detach()");
  parameters_.emplace_back(name, parameter);
}

void Module::register_buffer(const std::string& name, const Tensor& buffer) {
  check_new_name(name);
  require(buffer.defined(), "module", "buffer '", name, "' must be defined");
  buffers_.emplace_back(name, buffer);
}

void Module::register_module(const std::string& name, Module& child) {
  check_new_name(name);
  children_.emplace_back(name, &child);
}

void Module::register_generator(const std::string& name, Generator& generator) {
  check_new_name(name);
  generators_.emplace_back(name, &generator);
}

}  // namespace trireme
