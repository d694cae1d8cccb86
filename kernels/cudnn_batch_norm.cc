#include "kernels/cudnn_batch_norm.h"

#include "core/base/error.h"
#include "kernels/cudnn_images.h"
#include "kernels/cudnn_norm_end.h"

namespace trireme::kernels {
namespace {

CudnnKey key(CudnnOperation operation, const CudnnBatchNorm& norm) {
  const NormedShape& s = norm.shape;
  return {static_cast<int64_t>(operation),
          static_cast<int64_t>(norm.end),
          norm.type,
          s.batch,
          s.height,
          s.width,
          s.channels};
}

/// The tensors that forward and backward describe alike.
struct Tensors {
  CudnnGraph& graph;
  const CudnnBatchNorm& norm;
  CudnnImages image, channel;

  Tensors(CudnnGraph& to, const CudnnBatchNorm& n)
      : graph(to),
        norm(n),
        image(channels_last(n.shape.batch, n.shape.channels, n.shape.height, n.shape.width)),
        channel(channels_last(1, n.shape.channels, 1, 1)) {}
  CudnnTensor of_image(const char* name) const {
    return graph.tensor(name, norm.type, image.extents, image.strides);
  }
  CudnnTensor of_channel(const char* name) const {
    return graph.tensor(name, CUDNN_DATA_FLOAT, channel.extents, channel.strides);
  }
  CudnnTensor temporary(const char* name, cudnnDataType_t type = CUDNN_DATA_FLOAT) const {
    return graph.temporary(name, type, image.extents, image.strides);
  }
};

}  // namespace

CudnnKey key_of_batch_norm(const CudnnBatchNorm& norm) {
  return key(CudnnOperation::kBatchNorm, norm);
}
CudnnKey key_of_batch_norm_gradient(const CudnnBatchNorm& norm) {
  return key(CudnnOperation::kBatchNormGradient, norm);
}

CudnnBuilt build_batch_norm(CudnnGraph graph, const CudnnBatchNorm& norm,
                            const CudnnFilter& filter) {
  const Tensors t(graph, norm);
  const CudnnTensor x = t.of_image("x");
  const CudnnTensor gamma = t.of_channel("gamma"), beta = t.of_channel("beta");
  const CudnnTensor mean = t.of_channel("mean"), rstd = t.of_channel("rstd");
  const CudnnTensor epsilon = graph.scalar("epsilon", 4), y = t.of_image("y");
  const bool ends_here = norm.end == NormEnd::kPlain;
  const CudnnTensor normalised = ends_here ? y : t.temporary("normalised");
  graph.batch_norm({x, gamma, beta, mean, rstd, epsilon, normalised});
  const CudnnTensor residual = add_norm_end(graph, norm.end, norm.type, t.image, normalised, y);
  return {{x, residual, gamma, beta, epsilon, mean, rstd, y}, graph.plans(filter)};
}

CudnnBuilt build_batch_norm_gradient(CudnnGraph graph, const CudnnBatchNorm& norm,
                                     const CudnnFilter& filter) {
  TRIREME_ASSERT(norm.end != NormEnd::kAddRelu);
  const Tensors t(graph, norm);
  const CudnnTensor x = t.of_image("x"), dy = t.of_image("dy"), dx = t.of_image("dx");
  const CudnnTensor gamma = t.of_channel("gamma"), mean = t.of_channel("mean");
  const CudnnTensor rstd = t.of_channel("rstd");
  const CudnnTensor dgamma = t.of_channel("dgamma"), dbeta = t.of_channel("dbeta");
  CudnnTensor beta, upstream = dy;
  if (norm.end == NormEnd::kRelu) {
    beta = t.of_channel("beta");
    const CudnnTensor normalised = t.temporary("normalised");
    upstream = t.temporary("upstream", norm.type);
    graph.batch_norm({x, gamma, beta, mean, rstd, {}, normalised});
    graph.pointwise_gradient("relu", CUDNN_POINTWISE_RELU_BWD, upstream, dy, normalised);
  }
  graph.batch_norm_gradient({x, upstream, gamma, mean, rstd, dx, dgamma, dbeta});
  return {{x, dy, gamma, beta, mean, rstd, dx, dgamma, dbeta}, graph.plans(filter)};
}

}  // namespace trireme::kernels
