// A weight and a delta as an adapter holds it, added: W̄ + δ. `format/SPEC.md` has the encodings.
// counts: elements, elements of a row, elements of a group of int4.

struct DeltaF32 {
    static FUNCTION float at(GLOBAL const uchar *payload, uint i, Settings) {
        return reinterpret_cast<GLOBAL const float *>(payload)[i];
    }
};

struct DeltaF16 {
    static FUNCTION float at(GLOBAL const uchar *payload, uint i, Settings) {
        return wide(reinterpret_cast<GLOBAL const f16 *>(payload)[i]);
    }
};

// The f32 scales of all rows, then a signed byte for each element.
struct DeltaInt8 {
    static FUNCTION float at(GLOBAL const uchar *payload, uint i, Settings settings) {
        const uint width = settings.counts[1], rows = settings.counts[0] / width;
        const int value = payload[4 * rows + i];
        return reinterpret_cast<GLOBAL const float *>(payload)[i / width] * float(value < 128 ? value : value - 256);
    }
};

// The scales of all groups as upper halves of f32, then rows of whole bytes, two elements in each, the lower half first.
struct DeltaInt4 {
    static FUNCTION float at(GLOBAL const uchar *payload, uint i, Settings settings) {
        const uint width = settings.counts[1], size = settings.counts[2], rows = settings.counts[0] / width;
        const uint groups = (width + size - 1) / size, row = i / width, col = i % width;
        GLOBAL const uchar *scale = payload + 2 * (row * groups + col / size);
        const uint byte = payload[2 * rows * groups + row * ((width + 1) / 2) + col / 2];
        const int value = (byte >> 4 * (col % 2)) & 15;
        return float_of(uint(scale[0]) << 16 | uint(scale[1]) << 24) * float(value < 8 ? value : value - 16);
    }
};

// The f32 scales of all rows, then rows of whole bytes, a bit for each element, the lowest first, set for minus.
struct DeltaOneBit {
    static FUNCTION float at(GLOBAL const uchar *payload, uint i, Settings settings) {
        const uint width = settings.counts[1], rows = settings.counts[0] / width, row = i / width, col = i % width;
        const float scale = reinterpret_cast<GLOBAL const float *>(payload)[row];
        const uint byte = payload[4 * rows + row * ((width + 7) / 8) + col / 8];
        return (byte >> col % 8 & 1) != 0 ? -scale : scale;
    }
};

template <typename T, typename Delta>
FUNCTION void merge(GLOBAL const T *base, GLOBAL const uchar *payload, GLOBAL T *out, Settings settings, Place at) {
    const uint count = settings.counts[0];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        out[i] = narrow<T>(wide(base[i]) + Delta::at(payload, i, settings));
    }
}

#define MERGE_OF(name, Delta, T)                                                                                       \
    KERNEL(merge_##name##_##T, IN(T, base, 0), IN(uchar, payload, 1), OUT(T, out, 2), SETTINGS(3)) {                   \
        merge<T, Delta>(base, payload, out, settings, HERE);                                                           \
    }
#define MERGE(T)                                                                                                       \
    MERGE_OF(delta_f32, DeltaF32, T)                                                                                   \
    MERGE_OF(delta_f16, DeltaF16, T)                                                                                   \
    MERGE_OF(int8, DeltaInt8, T)                                                                                       \
    MERGE_OF(int4, DeltaInt4, T)                                                                                       \
    MERGE_OF(one_bit, DeltaOneBit, T)
FOR_NUMBERS(MERGE)
