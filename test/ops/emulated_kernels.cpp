// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Kernels for test_cuda_emulator.py. Functions return 0 or the runtime's error.
#include "cuda_emulator.h"

namespace {

constexpr unsigned kFull = ~0u;

__global__ void shuffles(int* out) {
  const int lane = static_cast<int>(threadIdx.x % 32), value = 100 + static_cast<int>(threadIdx.x);
  int* row = out + threadIdx.x * 8;
  row[0] = __shfl_sync(kFull, value, 5);
  row[1] = __shfl_xor_sync(kFull, value, 16);
  row[2] = __shfl_down_sync(kFull, value, 3);
  row[3] = __shfl_sync(kFull, value, lane + 1, 8);
  row[4] = static_cast<int>(__ballot_sync(kFull, lane % 3 == 0));
  row[5] = __any_sync(kFull, lane == 7) + 2 * __any_sync(kFull, 0);
  row[6] = __all_sync(kFull, lane < 32) + 2 * __all_sync(kFull, lane != 9);
  row[7] = static_cast<int>(__shfl_xor_sync(kFull, static_cast<float>(value), 1));
}

// Sums of the block by a tree in shared memory; every thread takes another time to arrive, some leave early.
__global__ void barriers(const int* in, int* sums, int* votes) {
  int* shared = reinterpret_cast<int*>(emulator::dynamic_shared());
  const unsigned thread = threadIdx.x;
  shared[thread] = in[blockIdx.x * blockDim.x + thread];
  if (thread % 2 == 0) __syncwarp();
  if (thread % 2 == 1) __syncwarp();
  for (unsigned step = blockDim.x / 2; step > 0; step /= 2) {
    if (thread % 3 == 0) {
      __syncthreads();
    } else {
      __syncthreads();
    }
    if (thread < step) shared[thread] += shared[thread + step];
  }
  const int counted = __syncthreads_count(thread % 5 == 0);
  const int any = __syncthreads_or(thread == 3), none = __syncthreads_or(0);
  const int all = __syncthreads_and(1), some = __syncthreads_and(thread != 3);
  if (thread >= blockDim.x / 2) return;
  __syncthreads();
  if (thread == 0) {
    sums[blockIdx.x] = shared[0];
    votes[blockIdx.x] = counted * 16 + any + 2 * none + 4 * all + 8 * some;
  }
}

__global__ void load_matrices(const uint16_t* in, uint32_t* out) {
  uint16_t* shared = reinterpret_cast<uint16_t*>(emulator::dynamic_shared());
  constexpr unsigned kStride = 24;  // of a row of 8
  for (unsigned i = 0; i < 8; ++i) shared[threadIdx.x * kStride + i] = in[threadIdx.x * 8 + i];
  __syncwarp();
  uint32_t r[4];
  emulator::load_matrices(r, shared + threadIdx.x * kStride);
  for (unsigned i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = r[i];
}

// d (16, 8) += a (16, 16) * b (16, 8), by the fragments of the PTX ISA.
template <typename T>
__global__ void multiply(const uint16_t* a, const uint16_t* b, float* d) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  const auto a_pair = [a](unsigned row, unsigned k) { return a[row * 16 + k] | unsigned{a[row * 16 + k + 1]} << 16; };
  const auto b_pair = [b](unsigned k, unsigned n) { return b[k * 8 + n] | unsigned{b[(k + 1) * 8 + n]} << 16; };
  const uint32_t a_words[4] = {a_pair(g, 2 * t), a_pair(g + 8, 2 * t), a_pair(g, 2 * t + 8), a_pair(g + 8, 2 * t + 8)};
  const uint32_t b_words[2] = {b_pair(2 * t, g), b_pair(2 * t + 8, g)};
  float sums[4];
  for (unsigned i = 0; i < 4; ++i) sums[i] = d[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  emulator::mma_16x8x16<T>(sums, a_words, b_words);
  for (unsigned i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

__global__ void multiply_tf32(const float* a, const float* b, float* d) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  const float a_values[4] = {a[g * 8 + t], a[(g + 8) * 8 + t], a[g * 8 + t + 4], a[(g + 8) * 8 + t + 4]};
  uint32_t a_words[4];
  for (unsigned i = 0; i < 4; ++i) a_words[i] = __float_as_uint(a_values[i]);
  const uint32_t b_words[2] = {__float_as_uint(b[t * 8 + g]), __float_as_uint(b[(t + 4) * 8 + g])};
  float sums[4];
  for (unsigned i = 0; i < 4; ++i) sums[i] = d[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  emulator::mma_16x8x8_tf32(sums, a_words, b_words);
  for (unsigned i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

__global__ void add_to_all(int* values, int amount) {
  const unsigned index = (blockIdx.y * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x;
  values[index] += amount;
}

__global__ void count_all(int* count, unsigned long long* largest) {
  const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(count, 1);
  atomicMax(largest, static_cast<unsigned long long>(index) << 32);
}

enum Fault : int { kWrite, kSharedWrite, kMissingLane, kDeadlock, kMixedCollectives, kUnalignedRow };

__global__ void faulty_kernel(int* values, int fault, int count) {
  unsigned char* shared = emulator::dynamic_shared();
  const unsigned thread = threadIdx.x;
  uint32_t r[4];
  if (fault == kWrite && thread == 0) values[count] = 0;
  if (fault == kSharedWrite && thread == 0) shared[1024] = 0;
  if (fault == kMissingLane && thread != 3) __syncwarp();
  if (fault == kDeadlock) thread < 32 ? __syncwarp(thread == 0 ? 3 : 1 << thread) : __syncthreads();
  if (fault == kDeadlock && thread == 1) __syncthreads();
  if (fault == kMixedCollectives) thread % 2 ? __syncwarp() : static_cast<void>(__any_sync(kFull, 1));
  if (fault == kUnalignedRow) emulator::load_matrices(r, shared + 8);
}

__global__ void read_shared(uint32_t* out) {
  out[threadIdx.x] = reinterpret_cast<uint32_t*>(emulator::dynamic_shared())[threadIdx.x];
}

}  // namespace

#define RETURN_ERROR(call)                             \
  do {                                                 \
    if (const cudaError_t error = (call)) return error; \
  } while (false)

extern "C" {

int run_shuffles(int* out, unsigned threads) {
  return emulator::launch("shuffles", shuffles, dim3(1), threads, 0, nullptr, out);
}

int run_barriers(const int* in, int* sums, int* votes, unsigned blocks, unsigned threads) {
  return emulator::launch("barriers", barriers, dim3(blocks), threads, threads * sizeof(int), nullptr, in, sums, votes);
}

int run_load_matrices(const uint16_t* in, uint32_t* out) {
  return emulator::launch("load_matrices", load_matrices, dim3(1), 32, 32 * 48, nullptr, in, out);
}

int run_multiply(const uint16_t* a, const uint16_t* b, float* d, int bfloat16) {
  return emulator::launch("multiply", bfloat16 ? multiply<__nv_bfloat16> : multiply<__half>, dim3(1), 32, 0, nullptr, a,
                          b, d);
}

int run_multiply_tf32(const float* a, const float* b, float* d) {
  return emulator::launch("multiply_tf32", multiply_tf32, dim3(1), 32, 0, nullptr, a, b, d);
}

int run_count_all(int* count, unsigned long long* largest, unsigned blocks) {
  return emulator::launch("count_all", count_all, dim3(blocks), 64, 0, nullptr, count, largest);
}

int run_read_shared(uint32_t* out) {
  return emulator::launch("read_shared", read_shared, dim3(1), 32, 128, nullptr, out);
}

void round_to_half(const float* in, uint16_t* half, float* half_back, uint16_t* brain, float* brain_back, int count) {
  for (int i = 0; i < count; ++i) {
    half[i] = emulator::bit_cast<uint16_t>(__float2half_rn(in[i]));
    half_back[i] = __half2float(emulator::bit_cast<__half>(half[i]));
    brain[i] = emulator::bit_cast<uint16_t>(__float2bfloat16_rn(in[i]));
    brain_back[i] = __bfloat162float(emulator::bit_cast<__nv_bfloat16>(brain[i]));
  }
}

// Captures in -> device, += amount on a second stream, -> out, and replays it for each of two rows of 128 numbers.
int capture_and_replay(int* rows, int amount, int* untouched) {
  cudaStream_t stream, second;
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  cudaEvent_t fork, join;
  int *device, *staged;
  constexpr size_t kBytes = 128 * sizeof(int);
  RETURN_ERROR(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  RETURN_ERROR(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
  RETURN_ERROR(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
  RETURN_ERROR(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
  RETURN_ERROR(cudaMalloc(&device, kBytes));
  RETURN_ERROR(cudaMallocHost(&staged, kBytes));
  RETURN_ERROR(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  if (cudaStreamSynchronize(stream) != cudaErrorStreamCaptureUnsupported) return -1;
  RETURN_ERROR(cudaMemcpyAsync(device, staged, kBytes, cudaMemcpyHostToDevice, stream));
  RETURN_ERROR(cudaEventRecord(fork, stream));
  RETURN_ERROR(cudaStreamWaitEvent(second, fork));
  RETURN_ERROR(emulator::launch("add_to_all", add_to_all, dim3(2, 2), 32, 0, second, device, amount));
  RETURN_ERROR(cudaEventRecord(join, second));
  RETURN_ERROR(cudaStreamWaitEvent(stream, join));
  RETURN_ERROR(cudaMemcpyAsync(staged, device, kBytes, cudaMemcpyDeviceToHost, stream));
  RETURN_ERROR(cudaStreamEndCapture(stream, &graph));
  *untouched = device[0];
  RETURN_ERROR(cudaGraphInstantiate(&executable, graph, 0));
  RETURN_ERROR(cudaGraphDestroy(graph));
  for (int row = 0; row < 2; ++row, rows += 128) {
    std::memcpy(staged, rows, kBytes);
    RETURN_ERROR(cudaGraphLaunch(executable, stream));
    RETURN_ERROR(cudaStreamSynchronize(stream));
    std::memcpy(rows, staged, kBytes);
  }
  RETURN_ERROR(cudaGraphExecDestroy(executable));
  RETURN_ERROR(cudaFreeHost(staged));
  RETURN_ERROR(cudaFree(device));
  RETURN_ERROR(cudaEventDestroy(fork));
  RETURN_ERROR(cudaEventDestroy(join));
  RETURN_ERROR(cudaStreamDestroy(second));
  return cudaStreamDestroy(stream);
}

int allocate(size_t bytes, void** memory) { return cudaMalloc(memory, bytes); }
int release(void* memory) { return cudaFree(memory); }
int copy_from_device(void* to, const void* from, size_t bytes) {
  return cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost);
}
int synchronize() { return cudaStreamSynchronize(nullptr); }

int run_faulty_kernel(int fault) {
  int* values;
  RETURN_ERROR(cudaMalloc(&values, 64 * sizeof(int)));
  return emulator::launch("faulty_kernel", faulty_kernel, dim3(1), 64, 1024, nullptr, values, fault, 64);
}

int launch_with_shared_memory(size_t bytes, int raise_limit) {
  if (raise_limit) {
    RETURN_ERROR(cudaFuncSetAttribute(shuffles, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
  }
  int out[32 * 8];
  return emulator::launch("shuffles", shuffles, dim3(1), 32, bytes, nullptr, out);
}
}
