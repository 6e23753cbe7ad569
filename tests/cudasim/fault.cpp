/* Settings, messages, the API's lock, and what is said of an invalid address. */
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <dlfcn.h>
#include <pthread.h>
#include <ucontext.h>
#include <unistd.h>

#include "sim.h"

/* --- settings -------------------------------------------------------------------------------------------- */

static int choice(const char *variable, const char *const *names, int n)
{
	const char *v = getenv(variable);
	for (int i = 0; v && i < n; i++)
		if (!strcmp(v, names[i]))
			return i;
	if (v)
		cudasim_die("%s=%s is not known", variable, v);
	return 0;
}

static uint64_t number(const char *variable, uint64_t otherwise, uint64_t low, uint64_t high)
{
	const char *v = getenv(variable);
	if (!v)
		return otherwise;
	char *end;
	uint64_t n = strtoull(v, &end, 0);
	if (*end || end == v || n < low || n > high)
		cudasim_die("%s=%s is not a number from %llu to %llu", variable, v,
			    static_cast<unsigned long long>(low), static_cast<unsigned long long>(high));
	return n;
}

static settings read_settings(void)
{
	static const char *const threads[] = {"forward", "reverse", "random"};
	static const char *const streams[] = {"eager", "lazy", "ahead", "random"};
	settings s;
	s.threads = static_cast<thread_order>(choice("CUDASIM_THREADS", threads, 3));
	s.streams = static_cast<stream_order>(choice("CUDASIM_STREAMS", streams, 4));
	s.seed = number("CUDASIM_SEED", 1, 0, UINT64_MAX);
	s.compute = static_cast<int>(number("CUDASIM_COMPUTE", 80, 80, 120));
	s.n_device = static_cast<int>(number("CUDASIM_DEVICES", 8, 0, 64));
	s.n_sm = static_cast<int>(number("CUDASIM_SMS", 4, 1, 1024));
	s.memory_bytes = number("CUDASIM_MEMORY", uint64_t(4) << 30, 0, uint64_t(1) << 40);
	s.trace = number("CUDASIM_TRACE", 0, 0, 1) != 0;
	s.stop = number("CUDASIM_STOP", 0, 0, 1) != 0;
	sim_thread_random.state = s.seed * 2 + 1;
	sim_stream_random.state = s.seed * 0x9e3779b97f4a7c15u + 0x1234567;
	sim_install_fault_handler();
	atexit(heap_check_guards);
	return s;
}

const settings &sim_settings(void)
{
	static const settings s = read_settings();
	return s;
}

sim_random sim_thread_random, sim_stream_random;

/* splitmix64; the bias of the product is of no consequence here. */
uint32_t sim_random::below(uint32_t n)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return static_cast<uint32_t>(((z ^ z >> 31) >> 32) * n >> 32);
}

static unsigned lock_depth;
static const void *outer_caller;

const void *sim_caller(void)
{
	return outer_caller;
}

/* --- messages -------------------------------------------------------------------------------------------- */

const char *sim_line_of(const void *pc)
{
	static char text[600];
	Dl_info info;
	char command[1200];
	if (!pc || !dladdr(pc, &info) || !info.dli_fname)
		return "an unknown place";
	const size_t off =
		static_cast<size_t>(static_cast<const char *>(pc) - static_cast<const char *>(info.dli_fbase)) - 1;
	snprintf(text, sizeof text, "%s+0x%zx", info.dli_fname, off);
	snprintf(command, sizeof command, "addr2line -Cpfe '%s' 0x%zx 2>/dev/null", info.dli_fname, off);
	FILE *p = popen(command, "r");
	char line[500];
	if (p && fgets(line, sizeof line, p) && line[0] != '?')
		snprintf(text, sizeof text, "%.*s", static_cast<int>(strcspn(line, "\n")), line);
	if (p)
		pclose(p);
	return text;
}

const char *sim_place_of(cudasim_place at, const void *caller)
{
	static char text[600];
	if (!at.file)
		return sim_line_of(caller);
	snprintf(text, sizeof text, "%s:%d", at.file, at.line);
	return text;
}

const char *sim_who(void)
{
	static char text[1200];
	if (cudasim_self && sim_current.kernel_name) {
		const uint3 t = cudasim_self->thread, b = cudasim_block_index;
		snprintf(text, sizeof text, "kernel %s, block (%u, %u, %u), thread (%u, %u, %u)",
			 sim_current.kernel_name, b.x, b.y, b.z, t.x, t.y, t.z);
	} else if (const sim_op *op = sim_current_op()) {
		snprintf(text, sizeof text, "%s called by %s", op->name, sim_place_of(op->at, op->caller));
	} else {
		snprintf(text, sizeof text, "host code%s%s", lock_depth ? ", called by " : "",
			 lock_depth ? sim_line_of(outer_caller) : "");
	}
	return text;
}

static void print_orders(void)
{
	const char *const names[] = {"CUDASIM_THREADS", "CUDASIM_STREAMS", "CUDASIM_SEED"};
	for (const char *n : names)
		if (const char *v = getenv(n))
			fprintf(stderr, " %s=%s", n, v);
	fputc('\n', stderr);
}

void cudasim_die(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	fprintf(stderr, "cudasim: ");
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\n  in %s;", sim_who());
	print_orders();
	abort();
}

/* --- the lock -------------------------------------------------------------------------------------------- */

/* Recursive: host functions on a stream may not call the API, but the libraries' stand-ins call it. */
static pthread_mutex_t *api_mutex(void)
{
	static pthread_mutex_t m;
	static const bool made = [] {
		pthread_mutexattr_t a;
		pthread_mutexattr_init(&a);
		pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
		pthread_mutex_init(&m, &a);
		return true;
	}();
	(void)made;
	return &m;
}

sim_lock::sim_lock(const void *caller)
{
	pthread_mutex_lock(api_mutex());
	if (!lock_depth++)
		outer_caller = caller;
	sim_settings();
}

sim_lock::~sim_lock()
{
	lock_depth--;
	pthread_mutex_unlock(api_mutex());
}

/* --- invalid addresses ----------------------------------------------------------------------------------- */

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL};
static struct sigaction previous[3];

static void describe(char *text, size_t n, const void *p)
{
	const char *q = static_cast<const char *>(p);
	const mem_block *b = heap_near(p);
	if (sim_on_stack_guard(p))
		snprintf(text, n, "a thread's stack is too small for the kernel's frames");
	else if (!b)
		snprintf(text, n, "address %p is in no allocation", p);
	else if (b->freed)
		snprintf(text, n, "address %p is %td bytes into allocation %u (%zu bytes), which was freed", p,
			 q - b->at, b->serial, b->bytes);
	else if (q >= b->at + b->bytes)
		snprintf(text, n, "address %p is %td bytes past the end of allocation %u (%zu bytes)", p,
			 q - b->at - static_cast<ptrdiff_t>(b->bytes), b->serial, b->bytes);
	else
		snprintf(text, n, "address %p is inside allocation %u", p, b->serial);
}

static const void *instruction(const void *context)
{
#if defined(__x86_64__)
	return reinterpret_cast<const void *>(static_cast<const ucontext_t *>(context)->uc_mcontext.gregs[REG_RIP]);
#else
	(void)context;
	return nullptr;
#endif
}

/*
 * The old handler (a sanitizer's, or the default) sees the same fault again when the instruction is repeated. SIGILL is
 * what -fsanitize=alignment ends in, in the checker's build.
 */
static void on_fault(int signal, siginfo_t *info, void *context)
{
	static char text[512];
	describe(text, sizeof text, info->si_addr);
	fprintf(stderr, "cudasim: %s: %s\n  in %s;", signal == SIGILL ? "misaligned access" : "invalid access",
		signal == SIGILL ? "a vector needs the alignment of its size" : text, sim_who());
	print_orders();
	for (int i = 0; i < 3; i++)
		if (signals[i] == signal)
			sigaction(signal, &previous[i], nullptr);
	if (cudasim_self && instruction(context))
		fprintf(stderr, "  at %s\n", sim_line_of(static_cast<const char *>(instruction(context)) + 1));
}

void sim_install_fault_handler(void)
{
	static char stack[64 * 1024];
	stack_t s = {};
	s.ss_sp = stack;
	s.ss_size = sizeof stack;
	sigaltstack(&s, nullptr);
	struct sigaction a = {};
	a.sa_sigaction = on_fault;
	a.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigemptyset(&a.sa_mask);
	for (int i = 0; i < 3; i++)
		sigaction(signals[i], &a, &previous[i]);
}
