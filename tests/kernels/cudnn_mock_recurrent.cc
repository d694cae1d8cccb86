#include "tests/kernels/cudnn_mock_recurrent.h"

#include <algorithm>
#include <string>

#include "core/base/error.h"
#include "tests/kernels/cudnn_host_recurrent.h"
#include "tests/kernels/cudnn_mock.h"

namespace trireme::testing {
namespace {

CudnnMockState& mock() { return CudnnMock::state(); }

/// Counts the call; true where it is the one that fails.
bool fails() { return mock().calls++ == mock().fail_at; }

cudnnStatus_t complain(const std::string& text) {
  if (mock().complaint.empty()) mock().complaint = text;
  return CUDNN_STATUS_BAD_PARAM;
}

struct Tensor {
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  std::vector<int> extents, strides;
};
struct Sequences {
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  int steps = 0, batch = 0, width = 0;
};
struct Dropout {
  float probability = -1;  // -1: not said
};
struct Rnn {
  HostRecurrent layer{};
  cudnnRNNAlgo_t algorithm = CUDNN_RNN_ALGO_STANDARD;
};

Tensor& of(cudnnTensorDescriptor_t p) { return *reinterpret_cast<Tensor*>(p); }
Sequences& of(cudnnRNNDataDescriptor_t p) { return *reinterpret_cast<Sequences*>(p); }
Rnn& of(cudnnRNNDescriptor_t p) { return *reinterpret_cast<Rnn*>(p); }

Dropout& of(cudnnDropoutDescriptor_t p) { return *reinterpret_cast<Dropout*>(p); }

template <typename Object, typename Handle>
cudnnStatus_t create(Handle* out) {
  if (fails()) return mock().failure;
  *out = reinterpret_cast<Handle>(new Object);
  ++mock().live_objects;
  return CUDNN_STATUS_SUCCESS;
}
template <typename Object, typename Handle>
cudnnStatus_t destroy(Handle p) {
  delete reinterpret_cast<Object*>(p);
  --mock().live_objects;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set_tensor(cudnnTensorDescriptor_t p, cudnnDataType_t type, int rank,
                         const int* extents, const int* strides) {
  if (fails()) return mock().failure;
  of(p) = {type, {extents, extents + rank}, {strides, strides + rank}};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t get_tensor(const cudnnTensorDescriptor_t p, int most, cudnnDataType_t* type,
                         int* rank, int* extents, int* strides) {
  if (fails()) return mock().failure;
  const Tensor& t = of(p);
  *type = t.type;
  *rank = static_cast<int>(t.extents.size());
  if (*rank > most) return complain("a tensor of more dimensions than asked for");
  std::copy(t.extents.begin(), t.extents.end(), extents);
  std::copy(t.strides.begin(), t.strides.end(), strides);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set_dropout(cudnnDropoutDescriptor_t p, cudnnHandle_t, float probability, void*,
                          size_t, unsigned long long) {
  if (fails()) return mock().failure;
  of(p).probability = probability;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set_rnn(cudnnRNNDescriptor_t p, cudnnRNNAlgo_t algorithm, cudnnRNNMode_t mode,
                      cudnnRNNBiasMode_t bias, cudnnDirectionMode_t direction,
                      cudnnRNNInputMode_t input, cudnnDataType_t type, cudnnDataType_t precision,
                      cudnnMathType_t math, int32_t in, int32_t hidden, int32_t projected,
                      int32_t layers, cudnnDropoutDescriptor_t dropout, uint32_t flags) {
  if (fails()) return mock().failure;
  const bool is_double = type == CUDNN_DATA_DOUBLE;
  if (precision != (is_double ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT)) {
    return complain("a precision that the type does not have");
  }
  if (in < 1 || hidden < 1 || projected != hidden) return complain("sizes of the layer");
  if (direction != CUDNN_UNIDIRECTIONAL || input != CUDNN_LINEAR_INPUT || layers != 1 ||
      of(dropout).probability != 0) {
    return complain("the mock computes one layer of one direction");
  }
  if (flags != CUDNN_RNN_PADDED_IO_ENABLED) return complain("unpacked data without padding");
  mock().recurrent_math = math;
  of(p) = {{mode, bias != CUDNN_RNN_NO_BIAS, type, 0, 0, in, hidden}, algorithm};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set_data(cudnnRNNDataDescriptor_t p, cudnnDataType_t type,
                       cudnnRNNDataLayout_t layout, int steps, int batch, int width,
                       const int lengths[], void*) {
  if (fails()) return mock().failure;
  if (layout != CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED) return complain("layout of sequences");
  if (steps < 1 || batch < 1 || width < 1) return complain("empty sequences");
  if (std::any_of(lengths, lengths + batch, [&](int length) { return length != steps; })) {
    return complain("the mock computes sequences of one length");
  }
  of(p) = {type, steps, batch, width};
  return CUDNN_STATUS_SUCCESS;
}

size_t element_size(cudnnDataType_t type) {
  return type == CUDNN_DATA_DOUBLE ? 8 : type == CUDNN_DATA_FLOAT ? 4 : 2;
}
size_t weight_bytes(const HostRecurrent& l) {
  return static_cast<size_t>(l.weight_count()) * element_size(l.type);
}
size_t reserve_bytes(const HostRecurrent& l) {
  return static_cast<size_t>(l.reserve_count()) * sizeof(double);
}

cudnnStatus_t weight_space(cudnnHandle_t, cudnnRNNDescriptor_t p, size_t* bytes) {
  if (fails()) return mock().failure;
  *bytes = weight_bytes(of(p).layer);
  return CUDNN_STATUS_SUCCESS;
}

/// The layer over sequences such as x; an empty one where they do not fit together.
HostRecurrent layer_on(cudnnRNNDescriptor_t p, cudnnRNNDataDescriptor_t x) {
  HostRecurrent layer = of(p).layer;
  const Sequences& s = of(x);
  if (s.type != layer.type || s.width != layer.in) return {};
  layer.steps = s.steps;
  layer.batch = s.batch;
  return layer;
}

cudnnStatus_t temporary_spaces(cudnnHandle_t, cudnnRNNDescriptor_t p, cudnnForwardMode_t mode,
                               cudnnRNNDataDescriptor_t x, size_t* workspace, size_t* reserve) {
  if (fails()) return mock().failure;
  if (!mock().recurrent_algorithms.contains(of(p).algorithm)) return CUDNN_STATUS_NOT_SUPPORTED;
  *workspace = static_cast<size_t>(mock().workspace_bytes);
  if (mode == CUDNN_FWD_MODE_TRAINING) *reserve = reserve_bytes(layer_on(p, x));
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t weight_params(cudnnHandle_t, cudnnRNNDescriptor_t p, int32_t layer, size_t bytes,
                            const void* space, int32_t number, cudnnTensorDescriptor_t matrix,
                            void** matrix_at, cudnnTensorDescriptor_t bias, void** bias_at) {
  if (fails()) return mock().failure;
  const HostRecurrent& l = of(p).layer;
  if (layer != 0 || number < 0 || number >= 2 * l.gates() || bytes != weight_bytes(l)) {
    return complain("no such weight");
  }
  const auto address = [&](int64_t at) {
    const size_t offset = static_cast<size_t>(at) * element_size(l.type);
    return const_cast<char*>(static_cast<const char*>(space) + offset);
  };
  const int columns = static_cast<int>(number < l.gates() ? l.in : l.hidden);
  const int rows = static_cast<int>(l.hidden);
  if (matrix) {
    of(matrix) = {l.type, {1, rows, columns}, {rows * columns, columns, 1}};
    *matrix_at = address(l.matrix_at(number));
  }
  if (bias) {
    of(bias) = {l.type, {1, rows, 1}, {rows, 1, 1}};
    *bias_at = l.has_bias ? address(l.bias_at(number)) : nullptr;
  }
  return CUDNN_STATUS_SUCCESS;
}

/// What is wrong with the spaces and descriptors of a run; "" where all is well.
std::string check_run(const HostRecurrent& l, cudnnRNNDataDescriptor_t y,
                      cudnnTensorDescriptor_t state, cudnnTensorDescriptor_t cell, size_t weights,
                      size_t workspace, size_t reserve, bool trains) {
  if (l.steps == 0) return "x is not what the layer takes";
  const Sequences& out = of(y);
  if (out.type != l.type || out.width != l.hidden || out.steps != l.steps || out.batch != l.batch) {
    return "y is not what the layer gives";
  }
  const std::vector<int> extents{1, static_cast<int>(l.batch), static_cast<int>(l.hidden)};
  if (of(state).extents != extents || of(state).type != l.type) return "states of another shape";
  if ((l.mode == CUDNN_LSTM) != (cell != nullptr)) return "a cell's state, or none";
  if (weights != weight_bytes(l)) return "weight space of another size";
  if (workspace < static_cast<size_t>(mock().workspace_bytes)) return "no working memory";
  if (trains && reserve < reserve_bytes(l)) return "no reserve";
  return "";
}

/// What kernels may count on; null is no memory.
bool are_aligned(std::initializer_list<const void*> pointers) {
  return std::all_of(pointers.begin(), pointers.end(),
                     [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; });
}

void queue(std::function<void()> work) {
  if (mock().queue) {
    mock().queue(std::move(work));
  } else {
    work();
  }
}

cudnnStatus_t forward(cudnnHandle_t, cudnnRNNDescriptor_t p, cudnnForwardMode_t mode,
                      const int32_t* lengths, cudnnRNNDataDescriptor_t xs, const void* x,
                      cudnnRNNDataDescriptor_t ys, void* y, cudnnTensorDescriptor_t state,
                      const void* h0, void* h, cudnnTensorDescriptor_t cell, const void* c0,
                      void* c, size_t weight_size, const void* weights, size_t work_size, void*,
                      size_t reserve_size, void* reserve) {
  if (fails()) return mock().failure;
  const HostRecurrent l = layer_on(p, xs);
  const bool trains = mode == CUDNN_FWD_MODE_TRAINING;
  const std::string wrong =
      check_run(l, ys, state, cell, weight_size, work_size, reserve_size, trains);
  if (!wrong.empty() || lengths) return complain(lengths ? "lengths twice" : wrong);
  if (!are_aligned({x, y, h0, h, c0, c, weights, reserve})) return complain("alignment");
  mock().executed.push_back(of(p).algorithm);
  const HostRecurrentForward f{x, h0, c0, weights,
                               y, h,  c,  trains ? static_cast<double*>(reserve) : nullptr};
  queue([l, f] { run_forward(l, f); });
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t backward_data(cudnnHandle_t, cudnnRNNDescriptor_t p, const int32_t* lengths,
                            cudnnRNNDataDescriptor_t ys, const void* y, const void* dy,
                            cudnnRNNDataDescriptor_t xs, void* dx, cudnnTensorDescriptor_t state,
                            const void* h0, const void* dh, void* dh0, cudnnTensorDescriptor_t cell,
                            const void* c0, const void* dc, void* dc0, size_t weight_size,
                            const void* weights, size_t work_size, void*, size_t reserve_size,
                            void* reserve) {
  if (fails()) return mock().failure;
  const HostRecurrent l = layer_on(p, xs);
  const std::string wrong =
      check_run(l, ys, state, cell, weight_size, work_size, reserve_size, true);
  if (!wrong.empty() || lengths) return complain(lengths ? "lengths twice" : wrong);
  if (!are_aligned({y, dy, dx, h0, dh, dh0, c0, dc, dc0, weights, reserve})) {
    return complain("alignment");
  }
  const HostRecurrentGradient g{
      y, dy, h0, dh, c0, dc, weights, dx, dh0, dc0, static_cast<double*>(reserve)};
  queue([l, g] { run_gradient(l, g); });
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t backward_weights(cudnnHandle_t, cudnnRNNDescriptor_t p, cudnnWgradMode_t mode,
                               const int32_t* lengths, cudnnRNNDataDescriptor_t xs, const void* x,
                               cudnnTensorDescriptor_t state, const void* h0,
                               cudnnRNNDataDescriptor_t ys, const void* y, size_t weight_size,
                               void* dweights, size_t work_size, void*, size_t reserve_size,
                               void* reserve) {
  if (fails()) return mock().failure;
  const HostRecurrent l = layer_on(p, xs);
  const std::string wrong = check_run(l, ys, state, l.mode == CUDNN_LSTM ? state : nullptr,
                                      weight_size, work_size, reserve_size, true);
  if (!wrong.empty() || lengths) return complain(lengths ? "lengths twice" : wrong);
  if (!are_aligned({x, h0, y, dweights, reserve})) return complain("alignment");
  if (mode != CUDNN_WGRAD_MODE_ADD) return complain("gradients of weights are added only");
  queue([=] { run_weight_gradient(l, x, h0, y, dweights, static_cast<const double*>(reserve)); });
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

void add_recurrent_layers(kernels::CudnnApi& api) {
  api.CreateTensorDescriptor = create<Tensor, cudnnTensorDescriptor_t>;
  api.DestroyTensorDescriptor = destroy<Tensor, cudnnTensorDescriptor_t>;
  api.SetTensorNdDescriptor = set_tensor;
  api.GetTensorNdDescriptor = get_tensor;
  api.CreateDropoutDescriptor = create<Dropout, cudnnDropoutDescriptor_t>;
  api.DestroyDropoutDescriptor = destroy<Dropout, cudnnDropoutDescriptor_t>;
  api.SetDropoutDescriptor = set_dropout;
  api.CreateRNNDescriptor = create<Rnn, cudnnRNNDescriptor_t>;
  api.DestroyRNNDescriptor = destroy<Rnn, cudnnRNNDescriptor_t>;
  api.SetRNNDescriptor_v8 = set_rnn;
  api.CreateRNNDataDescriptor = create<Sequences, cudnnRNNDataDescriptor_t>;
  api.DestroyRNNDataDescriptor = destroy<Sequences, cudnnRNNDataDescriptor_t>;
  api.SetRNNDataDescriptor = set_data;
  api.GetRNNWeightSpaceSize = weight_space;
  api.GetRNNTempSpaceSizes = temporary_spaces;
  api.GetRNNWeightParams = weight_params;
  api.RNNForward = forward;
  api.RNNBackwardData_v8 = backward_data;
  api.RNNBackwardWeights_v8 = backward_weights;
}

}  // namespace trireme::testing
