// The kernels on the processor, for tests: threads of a group take turns up to each barrier, in an order that is asked for.
//
// Reads launches from the standard input and writes the last tensor of each to the standard output, as bytes of this
// machine. A launch: the length of its name, groups, lanes, order, the number of its tensors, and their lengths, as 32-bit
// numbers; its settings; its name; its tensors. With an argument it lists its kernels instead.

#if defined(__APPLE__)
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE
#endif
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using std::exp;
using std::fabs;
using std::log;
using std::max;
using std::min;
using std::sqrt;

typedef unsigned char uchar;
typedef uint32_t uint;
typedef float f32;
struct f16 {
    uint16_t bits;
};
struct bf16 {
    uint16_t bits;
};
#define FOR_BF16(ENTRY) ENTRY(bf16)

#define GLOBAL
#define GROUP
#define FUNCTION inline
#define BARRIER() meet()

#define IN(type, name, at) const type *name
#define OUT(type, name, at) type *name
#define SETTINGS(at) const Settings &settings
// All threads of a group see it, and it begins as noise.
#define GROUP_ARRAY(type, name, count)                                                                                 \
    static type name[count];                                                                                           \
    forget(name, count)
#define KERNEL(name, ...)                                                                                              \
    void name(__VA_ARGS__);                                                                                            \
    static const bool name##_is_listed = list(#name, name);                                                            \
    void name(__VA_ARGS__)
#define HERE here

struct Place;
extern Place here;
void meet();
void forget(float *values, uint count);

inline float float_of(uint bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
inline uint bits_of(float value) {
    uint bits;
    memcpy(&bits, &value, 4);
    return bits;
}

inline float wide(float value) { return value; }
inline float wide(bf16 value) { return float_of(uint(value.bits) << 16); }
inline float wide(f16 value) {
    const uint sign = uint(value.bits & 0x8000) << 16, magnitude = value.bits & 0x7fff;
    if (magnitude >= 0x7c00) return float_of(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
    return float_of(sign | bits_of(magnitude < 0x400 ? magnitude * 0x1p-24f : float_of((magnitude << 13) + (112 << 23))));
}

template <typename T> T narrow(float value);
template <> inline float narrow<float>(float value) { return value; }
template <> inline bf16 narrow<bf16>(float value) {
    const uint bits = bits_of(value);
    return bf16{uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
template <> inline f16 narrow<f16>(float value) {
    const uint sign = bits_of(value) >> 16 & 0x8000;
    const float size = fabs(value);
    if (!(size < 65520)) return f16{uint16_t(sign | (size > 0 ? 0x7c00 : 0x7e00))};
    if (size < 0x1p-14f) return f16{uint16_t(sign | uint(std::nearbyint(size * 0x1p24f)))};
    const uint bits = bits_of(size) - (112u << 23);
    return f16{uint16_t(sign | (bits + 0xfff + (bits >> 13 & 1)) >> 13)};
}

struct Settings;
struct Launch {
    std::vector<std::unique_ptr<uchar[]>> tensors;
    std::unique_ptr<Settings> settings;
};

typedef std::function<void(Launch &)> Kernel;
std::map<std::string, Kernel> &kernels() {
    static std::map<std::string, Kernel> all;
    return all;
}

template <typename T> struct Argument {
    static T of(Launch &launch, size_t at) { return reinterpret_cast<T>(launch.tensors.at(at).get()); }
};
template <> struct Argument<const Settings &> {
    static const Settings &of(Launch &launch, size_t) { return *launch.settings; }
};
template <typename... A, size_t... At>
void call(void (*kernel)(A...), Launch &launch, std::index_sequence<At...>) {
    kernel(Argument<A>::of(launch, At)...);
}
template <typename... A> bool list(const char *name, void (*kernel)(A...)) {
    kernels()[name] = [kernel](Launch &launch) { call(kernel, launch, std::index_sequence_for<A...>()); };
    return true;
}

#include "kernels.h"

Place here;

// A thread of the group that is running.
struct Thread {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    Place place;
    bool done;
};

const size_t STACK = 256 << 10;
static std::vector<Thread> threads;
static ucontext_t scheduler;
static size_t running;
static Launch *launched;
static const Kernel *kernel;
static std::vector<const void *> forgotten;

// Until the first thread to come here has filled it, a group's memory is that of another.
void forget(float *values, uint count) {
    for (const void *seen : forgotten) {
        if (seen == values) return;
    }
    forgotten.push_back(values);
    for (uint i = 0; i < count; i += 1) values[i] = NAN;
}

void meet() {
    swapcontext(&threads[running].context, &scheduler);
    here = threads[running].place;
}

static void run() {
    (*kernel)(*launched);
    threads[running].done = true;
    swapcontext(&threads[running].context, &scheduler);
}

static void group(uint number, uint lanes, uint order) {
    forgotten.clear();
    if (threads.size() < lanes) threads.resize(lanes);
    for (uint lane = 0; lane < lanes; lane += 1) {
        Thread &thread = threads[lane];
        if (!thread.stack) thread.stack.reset(new char[STACK]);
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.get();
        thread.context.uc_stack.ss_size = STACK;
        thread.context.uc_link = nullptr;
        makecontext(&thread.context, run, 0);
        thread.place = Place{lane, lanes, number};
        thread.done = false;
    }
    for (uint left = lanes, round = 0; left > 0; round += 1) {
        const uint before = left;
        for (uint turn = 0; turn < lanes; turn += 1) {
            // Forwards, backwards, or by odd steps from another one each time.
            const uint step = order == 2 ? (turn * 5 + round * 3) % lanes : turn;
            running = order == 1 ? lanes - 1 - step : step;
            if (threads[running].done) continue;
            here = threads[running].place;
            swapcontext(&scheduler, &threads[running].context);
            left -= threads[running].done;
        }
        if (left != 0 && left != before) {
            fprintf(stderr, "threads of one group meet different barriers\n");
            exit(1);
        }
    }
}

static void read(void *to, size_t length) {
    if (fread(to, 1, length, stdin) != length) {
        fprintf(stderr, "a launch is cut short\n");
        exit(1);
    }
}

int main(int count, char **) {
    if (count > 1) {
        for (const auto &kernel : kernels()) puts(kernel.first.c_str());
        return 0;
    }
    uint head[5];
    while (fread(head, sizeof head, 1, stdin) == 1) {
        Launch launch;
        std::vector<uint> lengths(head[4]);
        read(lengths.data(), 4 * lengths.size());
        launch.settings.reset(new Settings);
        read(launch.settings.get(), sizeof(Settings));
        std::string name(head[0], ' ');
        read(&name[0], name.size());
        for (uint length : lengths) {
            launch.tensors.emplace_back(new uchar[length]);
            read(launch.tensors.back().get(), length);
        }
        const auto found = kernels().find(name);
        if (found == kernels().end()) {
            fprintf(stderr, "no kernel %s\n", name.c_str());
            return 1;
        }
        launched = &launch;
        kernel = &found->second;
        for (uint number = 0; number < head[1]; number += 1) group(number, head[2], head[3]);
        fwrite(launch.tensors.back().get(), 1, lengths.back(), stdout);
    }
    return 0;
}
