#include "kernels/cudnn_recurrent.h"

#include <array>
#include <vector>

#include "core/base/error.h"

namespace trireme::kernels {
namespace {

cudnnRNNMode_t mode_of(RecurrentKind kind) {
  switch (kind) {
    case RecurrentKind::kLstm:
      return CUDNN_LSTM;
    case RecurrentKind::kGru:
      return CUDNN_GRU;
    case RecurrentKind::kTanh:
      return CUDNN_RNN_TANH;
    case RecurrentKind::kRelu:
      return CUDNN_RNN_RELU;
  }
  return CUDNN_LSTM;
}

/// 16-bit products sum up in f32.
cudnnDataType_t precision_of(cudnnDataType_t type) {
  return type == CUDNN_DATA_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
}

cudnnMathType_t math_of(const CudnnRecurrentLayer& layer) {
  if (layer.type == CUDNN_DATA_DOUBLE) return CUDNN_DEFAULT_MATH;
  if (layer.type != CUDNN_DATA_FLOAT) return CUDNN_TENSOR_OP_MATH;
  return layer.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
}

int64_t size_of(cudnnDataType_t type) {
  return type == CUDNN_DATA_DOUBLE ? 8 : type == CUDNN_DATA_FLOAT ? 4 : 2;
}

}  // namespace

CudnnRecurrent::CudnnRecurrent(const CudnnApi& api, cudnnHandle_t handle, LibraryDevice& device,
                               CUstream_st* stream, const CudnnRecurrentLayer& layer)
    : api_(api),
      layer_(layer),
      no_dropout_(api, layer.shape.op(), api.CreateDropoutDescriptor, api.DestroyDropoutDescriptor),
      rnn_(api, layer.shape.op(), api.CreateRNNDescriptor, api.DestroyRNNDescriptor),
      x_(api, layer.shape.op(), api.CreateRNNDataDescriptor, api.DestroyRNNDataDescriptor),
      y_(api, layer.shape.op(), api.CreateRNNDataDescriptor, api.DestroyRNNDataDescriptor),
      state_(api, layer.shape.op(), api.CreateTensorDescriptor, api.DestroyTensorDescriptor) {
  const RecurrentLayerShape& s = layer.shape;
  describe_layer(handle);
  describe_data(x_, s.in);
  describe_data(y_, s.hidden);
  const int batch = static_cast<int>(s.batch), hidden = static_cast<int>(s.hidden);
  const std::array extents{1, batch, hidden}, strides{batch * hidden, hidden, 1};
  check("cudnnSetTensorNdDescriptor",
        api.SetTensorNdDescriptor(state_.get(), layer.type, 3, extents.data(), strides.data()));
  check("cudnnGetRNNWeightSpaceSize",
        api.GetRNNWeightSpaceSize(handle, rnn_.get(), &weight_bytes_));
  check("cudnnGetRNNTempSpaceSizes",
        api.GetRNNTempSpaceSizes(
            handle, rnn_.get(), s.trains ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE,
            x_.get(), &workspace_bytes_, s.trains ? &reserve_bytes_ : nullptr));
  const LibraryWorkspace space(device, stream, static_cast<int64_t>(weight_bytes_));
  places_.input = find(handle, space.data(), false, false);
  places_.hidden = find(handle, space.data(), true, false);
  if (!s.has_bias) return;
  places_.input_bias = find(handle, space.data(), false, true);
  places_.hidden_bias = find(handle, space.data(), true, true);
}

void CudnnRecurrent::describe_layer(cudnnHandle_t handle) const {
  check("cudnnSetDropoutDescriptor",
        api_.SetDropoutDescriptor(no_dropout_.get(), handle, 0, nullptr, 0, 0));
  const RecurrentLayerShape& s = layer_.shape;
  const int32_t hidden = static_cast<int32_t>(s.hidden);
  check("cudnnSetRNNDescriptor_v8",
        api_.SetRNNDescriptor_v8(rnn_.get(), layer_.algorithm, mode_of(s.kind),
                                 s.has_bias ? CUDNN_RNN_DOUBLE_BIAS : CUDNN_RNN_NO_BIAS,
                                 CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, layer_.type,
                                 precision_of(layer_.type), math_of(layer_),
                                 static_cast<int32_t>(s.in), hidden, hidden, 1, no_dropout_.get(),
                                 CUDNN_RNN_PADDED_IO_ENABLED));
}

void CudnnRecurrent::describe_data(const DataObject& data, int64_t width) const {
  const int steps = static_cast<int>(layer_.shape.steps);
  const std::vector<int> lengths(static_cast<size_t>(layer_.shape.batch), steps);
  check("cudnnSetRNNDataDescriptor",
        api_.SetRNNDataDescriptor(data.get(), layer_.type, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED,
                                  steps, static_cast<int>(layer_.shape.batch),
                                  static_cast<int>(width), lengths.data(), nullptr));
}

CudnnRecurrent::Gates CudnnRecurrent::find(cudnnHandle_t handle, const void* space,
                                           bool is_recurrent, bool is_bias) const {
  const RecurrentLayerShape& s = layer_.shape;
  const char* op = s.op();
  const int64_t columns = is_bias ? 1 : is_recurrent ? s.hidden : s.in;
  const TensorObject described(api_, op, api_.CreateTensorDescriptor, api_.DestroyTensorDescriptor);
  Gates found{};
  for (int64_t gate = 0; gate < s.gates(); ++gate) {
    void* address = nullptr;
    const int32_t number = static_cast<int32_t>(gate + (is_recurrent ? s.gates() : 0));
    check(
        "cudnnGetRNNWeightParams",
        api_.GetRNNWeightParams(handle, rnn_.get(), 0, weight_bytes_, space, number,
                                is_bias ? nullptr : described.get(), is_bias ? nullptr : &address,
                                is_bias ? described.get() : nullptr, is_bias ? &address : nullptr));
    cudnnDataType_t type;
    int rank = 0;
    std::array<int, 3> extents{}, strides{};
    check("cudnnGetTensorNdDescriptor", api_.GetTensorNdDescriptor(described.get(), 3, &type, &rank,
                                                                   extents.data(), strides.data()));
    // Where a weight does not exist, there is no address, and nothing is described.
    const bool exists = address && rank == 3;
    const int64_t at = !exists
                           ? -1
                           : (static_cast<const char*>(address) - static_cast<const char*>(space)) /
                                 size_of(layer_.type);
    if (gate == 0) found.first = at;
    if (gate == 1) found.step = at - found.first;
    const int64_t count = exists ? int64_t{extents[0]} * extents[1] * extents[2] : 0;
    const bool has_columns = is_bias || extents[2] == columns;
    // All gates of a kind are copied at once.
    if (count != s.hidden * columns || !has_columns || at != found.first + gate * found.step) {
      throw CudaError(concat(op, ": weight ", number, " must be [", s.hidden, ", ", columns,
                             "] and ", found.step, " elements behind the one before, cuDNN has ",
                             count, " elements at ", at, "; set TRIREME_CUDNN_OR_OWN=own"));
    }
  }
  return found;
}

void CudnnRecurrent::forward(cudnnHandle_t handle, const Forward& f) const {
  const bool trains = layer_.shape.trains;
  check("cudnnRNNForward",
        api_.RNNForward(handle, rnn_.get(),
                        trains ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE, nullptr,
                        x_.get(), f.x, y_.get(), f.y, state_.get(), f.h0, f.h,
                        has_c() ? state_.get() : nullptr, f.c0, f.c, weight_bytes_, f.weights,
                        workspace_bytes_, f.workspace, reserve_bytes_, f.reserve));
}

void CudnnRecurrent::gradient(cudnnHandle_t handle, const Gradient& g) const {
  check("cudnnRNNBackwardData_v8",
        api_.RNNBackwardData_v8(handle, rnn_.get(), nullptr, y_.get(), g.y, g.dy, x_.get(), g.dx,
                                state_.get(), g.h0, g.dh, g.dh0, has_c() ? state_.get() : nullptr,
                                g.c0, g.dc, g.dc0, weight_bytes_, g.weights, workspace_bytes_,
                                g.workspace, reserve_bytes_, g.reserve));
  if (!g.dweights) return;
  check("cudnnRNNBackwardWeights_v8",
        api_.RNNBackwardWeights_v8(handle, rnn_.get(), CUDNN_WGRAD_MODE_ADD, nullptr, x_.get(), g.x,
                                   state_.get(), g.h0, y_.get(), g.y, weight_bytes_, g.dweights,
                                   workspace_bytes_, g.workspace, reserve_bytes_, g.reserve));
}

}  // namespace trireme::kernels
