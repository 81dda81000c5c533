// Enough of CUDA C++ to run kernels on a CPU, to the bit as their text says: blocks one after the other, and the threads
// of a block in turns, each up to its next barrier. What needs threads to run at the same time, this does not show; what
// forgets a barrier, it does, because threads may also take their turns backwards.
#include <math.h>
#include <setjmp.h>
#include <ucontext.h>

#include <functional>
#include <vector>

#define __global__
#define __device__
#define __shared__ static  // one block at a time

struct Position {
    unsigned x, y;
};

struct Launch {
    Position grid, block;
    long long first_block, end_block;  // of which blocks, counted along x first, to run
    int backwards;
};

enum Outcome { DONE, SOME_THREADS_MISSED_A_BARRIER, BARRIER_IN_A_KERNEL_SAID_TO_HAVE_NONE };

static Position gridDim, blockDim, blockIdx, threadIdx;

// A thread starts by setcontext, which tells the kernel of signals; from then on the cheaper longjmp leads in and out.
struct Thread {
    ucontext_t start;
    jmp_buf resume;
    bool started;
    std::vector<char> stack = std::vector<char>(1 << 16);
};

static jmp_buf scheduler;
static Thread* current;  // none while threads run without barriers
static const std::function<void()>* body;
static int waiting;
static bool stray_barrier;

static void __syncthreads()
{
    if (!current) {
        stray_barrier = true;
        return;
    }
    waiting++;
    if (!_setjmp(current->resume))
        _longjmp(scheduler, 1);
}

static void __threadfence() {}

static unsigned atomicInc(unsigned* address, unsigned limit)
{
    unsigned old = *address;
    *address = old >= limit ? 0 : old + 1;
    return old;
}

static void begin()
{
    (*body)();
    _longjmp(scheduler, 1);
}

static void take_turn(Thread& thread)  // up to its next barrier, or its end
{
    current = &thread;
    if (_setjmp(scheduler))
        return;
    if (thread.started)
        _longjmp(thread.resume, 1);
    thread.started = true;
    setcontext(&thread.start);
}

static Position position(unsigned number) { return {number % blockDim.x, number / blockDim.x}; }

static Outcome run_block_with_barriers(unsigned count, bool backwards)
{
    static std::vector<Thread> threads(1024);
    for (unsigned k = 0; k < count; k++) {
        Thread& thread = threads[k];
        getcontext(&thread.start);
        thread.start.uc_stack.ss_sp = thread.stack.data();
        thread.start.uc_stack.ss_size = thread.stack.size();
        thread.started = false;
        makecontext(&thread.start, begin, 0);
    }
    do {
        waiting = 0;
        for (unsigned k = 0; k < count; k++) {
            unsigned number = backwards ? count - 1 - k : k;
            threadIdx = position(number);
            take_turn(threads[number]);
        }
        if (waiting != 0 && waiting != (int)count)
            return SOME_THREADS_MISSED_A_BARRIER;
    } while (waiting);
    return DONE;
}

static Outcome run(const Launch& launch, bool barriers, const std::function<void()>& kernel)
{
    gridDim = launch.grid;
    blockDim = launch.block;
    body = &kernel;
    stray_barrier = false;
    unsigned count = blockDim.x * blockDim.y;
    for (long long k = launch.first_block; k < launch.end_block; k++) {
        long long block = launch.backwards ? launch.first_block + launch.end_block - 1 - k : k;
        blockIdx = {(unsigned)(block % gridDim.x), (unsigned)(block / gridDim.x)};
        Outcome outcome = DONE;
        if (barriers)
            outcome = run_block_with_barriers(count, launch.backwards);
        else
            for (unsigned number = 0; number < count; number++) {
                threadIdx = position(number);
                kernel();
            }
        current = nullptr;
        if (outcome != DONE)
            return outcome;
    }
    return stray_barrier ? BARRIER_IN_A_KERNEL_SAID_TO_HAVE_NONE : DONE;
}
