// What the kernels are written in, as Apple's GPUs have it.

#include <metal_stdlib>
using namespace metal;

typedef float f32;
typedef half f16;
#if defined(__HAVE_BFLOAT__)
typedef bfloat bf16;
#define FOR_BF16(ENTRY) ENTRY(bf16)
#else
#define FOR_BF16(ENTRY)
#endif

#define GLOBAL device
#define GROUP threadgroup
#define FUNCTION inline
#define BARRIER() threadgroup_barrier(mem_flags::mem_threadgroup)

#define IN(type, name, at) device const type *name [[buffer(at)]]
#define OUT(type, name, at) device type *name [[buffer(at)]]
#define SETTINGS(at) constant Settings &settings [[buffer(at)]]
#define GROUP_ARRAY(type, name, count) threadgroup type name[count]
#define KERNEL(name, ...)                                                                                              \
    kernel void name(__VA_ARGS__, uint lane [[thread_position_in_threadgroup]],                                       \
                     uint lanes [[threads_per_threadgroup]], uint group [[threadgroup_position_in_grid]])
#define HERE Place{lane, lanes, group}

FUNCTION float wide(float value) { return value; }
FUNCTION float wide(half value) { return float(value); }
#if defined(__HAVE_BFLOAT__)
FUNCTION float wide(bfloat value) { return float(value); }
#endif
template <typename T> FUNCTION T narrow(float value) { return T(value); }
FUNCTION float float_of(uint bits) { return as_type<float>(bits); }
