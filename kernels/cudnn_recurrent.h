// One recurrent layer of one direction in cuDNN's imperative interface: its descriptors, and where
// it wants the weights. Graphs do not know recurrent layers.

#pragma once

#include <utility>

#include "kernels/cudnn_api.h"
#include "kernels/library_device.h"
#include "kernels/recurrent_layer.h"

namespace trireme::kernels {

/// A descriptor of cuDNN's imperative interface, owned.
template <typename Handle>
class CudnnObject {
 public:
  using Create = cudnnStatus_t (*)(Handle*);
  using Destroy = cudnnStatus_t (*)(Handle);
  CudnnObject(const CudnnApi& api, const char* op, Create create, Destroy destroy)
      : destroy_(destroy) {
    check_cudnn(api, op, "making a cuDNN descriptor", create(&handle_));
  }
  ~CudnnObject() { destroy_(handle_); }
  CudnnObject(const CudnnObject&) = delete;
  Handle get() const { return handle_; }

 private:
  const Destroy destroy_;
  Handle handle_ = nullptr;
};

struct CudnnRecurrentLayer {
  RecurrentLayerShape shape;
  cudnnDataType_t type;
  cudnnRNNAlgo_t algorithm;
  bool tf32;  // f32 products may round their operands
};

class CudnnRecurrent {
 public:
  /// Throws CudaError where cuDNN refuses the layer. `stream` is for working memory.
  CudnnRecurrent(const CudnnApi& api, cudnnHandle_t handle, LibraryDevice& device,
                 CUstream_st* stream, const CudnnRecurrentLayer& layer);

  const RecurrentLayerShape& shape() const { return layer_.shape; }
  size_t weight_bytes() const { return weight_bytes_; }
  size_t workspace_bytes() const { return workspace_bytes_; }
  size_t reserve_bytes() const { return reserve_bytes_; }

  /// The gates of one kind of weight in the weight space, in elements: where the first begins, and
  /// how far it is from one to the next. A gate's matrix is [hidden, columns].
  struct Gates {
    int64_t first, step;
  };
  RecurrentLayerWeights<Gates> places() const { return places_; }

  struct Forward {
    const void *x, *h0, *c0, *weights;
    void *y, *h, *c, *workspace, *reserve;
  };
  void forward(cudnnHandle_t handle, const Forward& f) const;

  struct Gradient {
    const void *x, *y, *h0, *c0, *weights, *dy, *dh, *dc;
    void *dx, *dh0, *dc0;
    void* dweights;             // added to; null: not wanted
    void *workspace, *reserve;  // the reserve is spoilt
  };
  void gradient(cudnnHandle_t handle, const Gradient& g) const;

 private:
  using TensorObject = CudnnObject<cudnnTensorDescriptor_t>;
  using DataObject = CudnnObject<cudnnRNNDataDescriptor_t>;

  void describe_layer(cudnnHandle_t handle) const;
  void describe_data(const DataObject& data, int64_t width) const;
  Gates find(cudnnHandle_t handle, const void* space, bool is_recurrent, bool is_bias) const;
  void check(const char* what, cudnnStatus_t status) const {
    check_cudnn(api_, layer_.shape.op(), what, status);
  }
  bool has_c() const { return layer_.shape.kind == RecurrentKind::kLstm; }

  const CudnnApi& api_;
  const CudnnRecurrentLayer layer_;
  const CudnnObject<cudnnDropoutDescriptor_t> no_dropout_;
  const CudnnObject<cudnnRNNDescriptor_t> rnn_;
  const DataObject x_, y_;
  const TensorObject state_;
  size_t weight_bytes_ = 0, workspace_bytes_ = 0, reserve_bytes_ = 0;
  RecurrentLayerWeights<Gates> places_{};
};

}  // namespace trireme::kernels
