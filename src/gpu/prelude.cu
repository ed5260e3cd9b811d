// What the kernels are written in, as NVIDIA's GPUs have it. Numbers of 16 bits are converted here, so that no header is
// needed where kernels are compiled.

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;

typedef float f32;
struct f16 {
    ushort bits;
};
struct bf16 {
    ushort bits;
};
#define FOR_BF16(ENTRY) ENTRY(bf16)

#define GLOBAL
#define GROUP
#define FUNCTION __device__ inline
#define BARRIER() __syncthreads()

#define IN(type, name, at) const type *__restrict__ name
#define OUT(type, name, at) type *__restrict__ name
#define SETTINGS(at) const Settings settings
#define GROUP_ARRAY(type, name, count) __shared__ type name[count]
#define KERNEL(name, ...) extern "C" __global__ void name(__VA_ARGS__)
#define HERE                                                                                                           \
    Place { threadIdx.x, blockDim.x, blockIdx.x }

FUNCTION float float_of(uint bits) { return __uint_as_float(bits); }
FUNCTION float wide(float value) { return value; }
FUNCTION float wide(bf16 value) { return float_of(uint(value.bits) << 16); }
FUNCTION float wide(f16 value) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
}

template <typename T> FUNCTION T narrow(float value);
template <> FUNCTION float narrow<float>(float value) { return value; }
template <> FUNCTION bf16 narrow<bf16>(float value) {
    const uint bits = __float_as_uint(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return bf16{0x7fff};
    return bf16{ushort((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
template <> FUNCTION f16 narrow<f16>(float value) {
    f16 result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
    return result;
}
