// Cross-entropy of class scores against two labels of each example by their shares, and its gradient:
// [examples, classes + 1], the loss of the example last. An example is a group's.
// counts: examples, classes. numbers: share of the first label, smoothing, factor of the gradient.
template <typename T>
FUNCTION void cross_entropy(GLOBAL const T *logits, GLOBAL const uint *labels, GLOBAL float *out, Settings settings,
                            GROUP float *shared, Place at) {
    const uint classes = settings.counts[1], first = labels[2 * at.group], second = labels[2 * at.group + 1];
    const float share = settings.numbers[0], smoothing = settings.numbers[1], factor = settings.numbers[2];
    logits += at.group * classes;
    out += at.group * (classes + 1);
    float highest = -3.4e38f, total = 0;
    for (uint c = at.lane; c < classes; c += at.lanes) {
        highest = max(highest, wide(logits[c]));
        total += wide(logits[c]);
    }
    highest = group_max(highest, shared, at);
    total = group_sum(total, shared, at);
    float sum = 0;
    for (uint c = at.lane; c < classes; c += at.lanes) sum += exp(wide(logits[c]) - highest);
    sum = group_sum(sum, shared, at);
    for (uint c = at.lane; c < classes; c += at.lanes) {
        const float wanted = (c == first ? share : 0) + (c == second ? 1 - share : 0);
        const float probability = exp(wide(logits[c]) - highest) / sum;
        out[c] = factor * (probability - smoothing / classes - (1 - smoothing) * wanted);
    }
    if (at.lane == 0) {
        const float chosen = share * wide(logits[first]) + (1 - share) * wide(logits[second]);
        out[classes] = highest + log(sum) - (1 - smoothing) * chosen - smoothing * total / classes;
    }
}

#define CROSS_ENTROPY(T)                                                                                               \
    KERNEL(cross_entropy_##T, IN(T, logits, 0), IN(uint, labels, 1), OUT(float, out, 2), SETTINGS(3)) {                \
        GROUP_ARRAY(float, shared, MOST_LANES);                                                                        \
        cross_entropy<T>(logits, labels, out, settings, shared, HERE);                                                 \
    }
FOR_NUMBERS(CROSS_ENTROPY)
