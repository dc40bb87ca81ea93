// Piecewise-linear functions on uniform knots: see _torch_cuda.py, and piecewise.py for the formulas.
//
// ELEMENT is 0 for float, 1 for bfloat16, 2 for float16; all is computed in float. `values` are
// (knots, channels), and the channel of element i is i % channels. The first `packs` * PACK elements
// are read and written 16 bytes at a time, which needs arrays that begin at a multiple of 16.

#if ELEMENT == 0
typedef float Element;
__device__ float to_float(Element x) { return x; }
__device__ Element from_float(float x) { return x; }
#elif ELEMENT == 1
typedef unsigned short Element;
__device__ float to_float(Element x) { return __uint_as_float((unsigned)x << 16); }
__device__ Element from_float(float x) {  // to the nearest, ties to even
  if (x != x) return 0x7fff;
  unsigned bits = __float_as_uint(x);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
#else
typedef unsigned short Element;
__device__ float to_float(Element x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
  return y;
}
__device__ Element from_float(float x) {
  Element y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
  return y;
}
#endif

#define PACK (16 / (int)sizeof(Element))
struct alignas(16) Pack {
  Element at[PACK];
};

// Where an element is: its position, held within the bounds, and its segment; 0 for NaN.
struct Place {
  float position;
  int segment;
  bool number;
};

__device__ Place place(float x, float low, float scale, float first, float last, int knots) {
  float position = (x - low) * scale;
  bool number = position == position;
  position = number ? fminf(fmaxf(position, first), last) : 0.f;
  return {position, (int)fminf(fmaxf(position, 0.f), (float)(knots - 2)), number};
}

__device__ float value(float x, Place p, const float* values, int stride) {
  float left = values[p.segment * stride], right = values[(p.segment + 1) * stride];
  return p.number ? left + (p.position - (float)p.segment) * (right - left) : x;
}

// The gradient to x; `sums` is the thread's own column of sums by knot.
__device__ float pull_back(float x, float gradient, Place p, const float* values, int stride,
                           float scale, bool clamped, float low, float high, float* sums,
                           int columns) {
  if (!p.number) return 0.f;
  float rise = values[(p.segment + 1) * stride] - values[p.segment * stride];
  float right = gradient * (p.position - (float)p.segment);
  sums[p.segment * columns] += gradient - right;
  sums[(p.segment + 1) * columns] += right;
  return clamped && !(x >= low && x < high) ? 0.f : gradient * rise * scale;
}

#define GRID                                                                                   \
  int count, int packs, int channels, int knots, double low_, double scale_, double first_,    \
      double last_, double high_
#define NUMBERS                                                                       \
  const float low = low_, scale = scale_, first = first_, last = last_, high = high_; \
  const bool clamped = first_ == 0

extern "C" __global__ void forward(const Element* x, Element* output, const float* values, GRID) {
  extern __shared__ float table[];
  NUMBERS;
  (void)clamped, (void)high;
  if (channels == 1) {
    for (int k = threadIdx.x; k < knots; k += blockDim.x) table[k] = values[k];
    __syncthreads();
    values = table;
  }
  const int thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
  for (int pack = thread; pack < packs; pack += threads) {
    Pack given = ((const Pack*)x)[pack], found;
    int channel = channels == 1 ? 0 : pack * PACK % channels;
#pragma unroll
    for (int j = 0; j < PACK; ++j) {
      float one = to_float(given.at[j]);
      Place p = place(one, low, scale, first, last, knots);
      found.at[j] = from_float(value(one, p, values + channel, channels));
      if (channels > 1 && ++channel == channels) channel = 0;
    }
    ((Pack*)output)[pack] = found;
  }
  for (int i = packs * PACK + thread; i < count; i += threads) {
    float one = to_float(x[i]);
    Place p = place(one, low, scale, first, last, knots);
    output[i] = from_float(value(one, p, values + (channels == 1 ? 0 : i % channels), channels));
  }
}

// Shared memory: the values, then a row of one sum for each thread, for each knot.
extern "C" __global__ void backward(const Element* x, const Element* gradient, Element* to_x,
                                    float* partial, const float* values, GRID) {
  extern __shared__ float table[];
  NUMBERS;
  (void)channels;
  const int columns = blockDim.x, own = threadIdx.x;
  float* sums = table + knots;
  for (int k = own; k < knots; k += columns) table[k] = values[k];
  for (int k = 0; k < knots; ++k) sums[k * columns + own] = 0.f;
  __syncthreads();
  const int thread = blockIdx.x * columns + own, threads = gridDim.x * columns;
  for (int pack = thread; pack < packs; pack += threads) {
    Pack given = ((const Pack*)x)[pack], up = ((const Pack*)gradient)[pack], found;
#pragma unroll
    for (int j = 0; j < PACK; ++j) {
      float one = to_float(given.at[j]);
      Place p = place(one, low, scale, first, last, knots);
      found.at[j] = from_float(pull_back(one, to_float(up.at[j]), p, table, 1, scale, clamped, low,
                                         high, sums + own, columns));
    }
    ((Pack*)to_x)[pack] = found;
  }
  for (int i = packs * PACK + thread; i < count; i += threads) {
    float one = to_float(x[i]);
    Place p = place(one, low, scale, first, last, knots);
    to_x[i] = from_float(pull_back(one, to_float(gradient[i]), p, table, 1, scale, clamped, low,
                                   high, sums + own, columns));
  }
  __syncthreads();
  for (int k = own; k < knots; k += columns) {
    float sum = 0.f;
    for (int j = 0; j < columns; ++j) sum += sums[k * columns + (j + k) % columns];
    partial[blockIdx.x * knots + k] = sum;
  }
}

// A block takes 32 neighbouring channels, and its warps take the rows in turn. Shared memory: the
// values of these channels, then as above.
extern "C" __global__ void backward_by_channel(const Element* x, const Element* gradient,
                                               Element* to_x, float* partial, const float* values,
                                               GRID) {
  extern __shared__ float table[];
  NUMBERS;
  (void)packs;
  const int columns = blockDim.x, own = threadIdx.x, lane = own % 32;
  const int channel = blockIdx.y * 32 + lane, rows = count / channels;
  float* sums = table + knots * 32;
  for (int k = own / 32; k < knots; k += columns / 32)
    table[k * 32 + lane] = channel < channels ? values[k * channels + channel] : 0.f;
  for (int k = 0; k < knots; ++k) sums[k * columns + own] = 0.f;
  __syncthreads();
  if (channel < channels) {
    const int step = gridDim.x * (columns / 32);
#pragma unroll 4
    for (int row = blockIdx.x * (columns / 32) + own / 32; row < rows; row += step) {
      const int i = row * channels + channel;
      float one = to_float(x[i]);
      Place p = place(one, low, scale, first, last, knots);
      to_x[i] = from_float(pull_back(one, to_float(gradient[i]), p, table + lane, 32, scale,
                                     clamped, low, high, sums + own, columns));
    }
  }
  __syncthreads();
  for (int k = own / 32; k < knots; k += columns / 32) {
    float sum = 0.f;
    for (int j = lane; j < columns; j += 32) sum += sums[k * columns + j];
    if (channel < channels) partial[(blockIdx.x * knots + k) * channels + channel] = sum;
  }
}
