// Updates of all deltas of a task at once. They lie one after another, each padded to whole blocks.
// counts: elements of all deltas, elements of a block.

// The rate and the decay of a block, by those that its delta has.
struct Pace {
    float rate;
    float decay;
};

FUNCTION Pace pace_of(GLOBAL const float *paces, uint i, Settings settings) {
    const uint block = i / settings.counts[1];
    return Pace{settings.numbers[0] * paces[2 * block], paces[2 * block + 1]};
}

// AdamW (Loshchilov & Hutter 2019). `states` is [3, elements]: deltas, means, means of squares; `paces` is [blocks, 2]:
// the share of the rate, and the decay.
// numbers: rate, factor of the gradient, beta 1, beta 2, eps, 1 - beta 1 ^ step, the root of 1 - beta 2 ^ step.
KERNEL(adamw, IN(float, gradient, 0), IN(float, paces, 1), OUT(float, states, 2), SETTINGS(3)) {
    const Place at = HERE;
    const uint count = settings.counts[0];
    const float beta1 = settings.numbers[2], beta2 = settings.numbers[3], eps = settings.numbers[4];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const Pace pace = pace_of(paces, i, settings);
        const float g = settings.numbers[1] * gradient[i];
        const float mean = beta1 * states[count + i] + (1 - beta1) * g;
        const float square = beta2 * states[2 * count + i] + (1 - beta2) * g * g;
        const float size = pace.rate / settings.numbers[5];
        states[count + i] = mean;
        states[2 * count + i] = square;
        states[i] = states[i] * (1 - pace.rate * pace.decay) - size * mean / (sqrt(square) / settings.numbers[6] + eps);
    }
}

// Gradient descent with momentum. `states` is [2, elements]: deltas and velocities.
// numbers: rate, factor of the gradient, momentum.
KERNEL(momentum, IN(float, gradient, 0), IN(float, paces, 1), OUT(float, states, 2), SETTINGS(3)) {
    const Place at = HERE;
    const uint count = settings.counts[0];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const Pace pace = pace_of(paces, i, settings);
        const float g = settings.numbers[1] * gradient[i];
        const float velocity = settings.numbers[2] * states[count + i] + (g + pace.decay * states[i]);
        states[count + i] = velocity;
        states[i] -= pace.rate * velocity;
    }
}
