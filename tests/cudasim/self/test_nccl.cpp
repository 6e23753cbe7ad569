/*
 * The NCCL stand-in: this program runs itself under the launcher with 1, 2 and 3 ranks, one argument a case. Cases that
 * must fail are recognised by their message.
 */
#include <cstring>
#include <nccl.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "help.h"
#include "wire.h"

#define fine(call)                                                                                                     \
	do {                                                                                                           \
		ncclResult_t result_ = (call);                                                                         \
		if (result_) {                                                                                         \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, ncclGetErrorString(result_));    \
			exit(2);                                                                                       \
		}                                                                                                      \
	} while (0)

static int rank, n_rank;

static ncclUniqueId shared_id(void)
{
	ncclUniqueId id;
	if (rank == 0)
		fine(ncclGetUniqueId(&id));
	wire_share(&id, sizeof id);
	return id;
}

static void expect(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "rank %d: %s\n", rank, what);
		exit(3);
	}
}

/* Rank r has element i = r * 100 + i; exact in bf16 while small. */
static std::vector<float> mine(size_t n)
{
	std::vector<float> x(n);
	for (size_t i = 0; i < n; i++)
		x[i] = static_cast<float>(rank * 16 + static_cast<int>(i % 8));
	return x;
}

static float sum_at(size_t i)
{
	return static_cast<float>(16 * n_rank * (n_rank - 1) / 2 + n_rank * static_cast<int>(i % 8));
}

static void all_kinds(ncclComm_t comm, cudaStream_t s)
{
	const size_t n = 1000, ranks = static_cast<size_t>(n_rank), r = static_cast<size_t>(rank);
	device_array x(n * ranks * 4), y(n * ranks * 4);
	upload(x.p, mine(n), s);
	fine(ncclAllReduce(x.p, y.p, n, ncclFloat32, ncclSum, comm, s));
	for (size_t i = 0; i < n; i++)
		expect(download<float>(y.p, n, s)[i] == sum_at(i) || i > 20, "all-reduce");
	fine(ncclAllGather(x.p, y.p, n, ncclFloat32, comm, s));
	const std::vector<float> all = download<float>(y.p, n * ranks, s);
	for (size_t i = 0; i < n * ranks; i++)
		expect(all[i] == static_cast<float>(static_cast<int>(i / n) * 16 + static_cast<int>(i % n % 8)),
		       "all-gather");
	upload(x.p, converted<ax_bf16>(mine(n * ranks)), s);
	fine(ncclReduceScatter(x.p, y.p, n, ncclBfloat16, ncclSum, comm, s));
	const std::vector<ax_bf16> part = download<ax_bf16>(y.p, n, s);
	for (size_t i = 0; i < n; i++)
		expect(ax_to_f32(part[i]) == sum_at(r * n + i), "reduce-scatter of bf16");
	upload(x.p, mine(n), s);
	fine(ncclBroadcast(x.p, x.p, n, ncclFloat32, n_rank - 1, comm, s));
	expect(download<float>(x.p, n, s)[9] == static_cast<float>(16 * (n_rank - 1) + 1), "broadcast");
	upload(x.p, mine(n), s);
	fine(ncclGroupStart());
	fine(ncclSend(x.p, n, ncclFloat32, (rank + 1) % n_rank, comm, s));
	fine(ncclRecv(y.p, n, ncclFloat32, (rank + n_rank - 1) % n_rank, comm, s));
	fine(ncclGroupEnd());
	expect(download<float>(y.p, n, s)[3] == static_cast<float>((rank + n_rank - 1) % n_rank * 16 + 3), "ring");
}

static void case_kinds(void)
{
	cudaStream_t s = new_stream();
	ncclComm_t comm, pair;
	fine(ncclCommInitRank(&comm, n_rank, shared_id(), rank));
	all_kinds(comm, s);
	fine(ncclCommSplit(comm, rank % 2, -rank, &pair, nullptr));
	int n, r;
	fine(ncclCommCount(pair, &n));
	fine(ncclCommUserRank(pair, &r));
	expect(n == (n_rank + 1 - rank % 2) / 2 && r == n - 1 - rank / 2, "split: size and place");
	device_array x(4);
	upload(x.p, std::vector<float>(1, 1.0f), s);
	fine(ncclAllReduce(x.p, x.p, 1, ncclFloat32, ncclSum, pair, s));
	expect(download<float>(x.p, 1, s)[0] == static_cast<float>(n), "sum over the split");
	fine(ncclCommDestroy(pair));
	fine(ncclCommDestroy(comm));
}

static void settle(ncclComm_t comm)
{
	ncclResult_t state = ncclInProgress;
	for (int i = 0; state == ncclInProgress && i < 100; i++)
		fine(ncclCommGetAsyncError(comm, &state));
	expect(state == ncclSuccess, "the communicator settles");
}

static void case_nonblocking(void)
{
	cudaStream_t s = new_stream();
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	config.blocking = 0;
	ncclComm_t comm;
	expect(ncclCommInitRankConfig(&comm, n_rank, shared_id(), rank, &config) == ncclInProgress,
	       "init is in progress");
	settle(comm);
	device_array x(4);
	upload(x.p, std::vector<float>(1, 1.0f), s);
	expect(ncclAllReduce(x.p, x.p, 1, ncclFloat32, ncclSum, comm, s) == ncclInProgress, "call is in progress");
	settle(comm);
	expect(download<float>(x.p, 1, s)[0] == static_cast<float>(n_rank), "sum");
	ncclComm_t part;
	expect(ncclCommSplit(comm, 0, rank, &part, &config) == ncclInProgress && !part, "a split is in progress and has no communicator yet");
	settle(comm);
	settle(part);
	expect(ncclAllReduce(x.p, x.p, 1, ncclFloat32, ncclSum, part, s) == ncclInProgress, "a call on the part is in progress");
	settle(part);
	expect(download<float>(x.p, 1, s)[0] == static_cast<float>(n_rank) * static_cast<float>(n_rank), "sum of sums");
}

static void case_mismatch(void)
{
	cudaStream_t s = new_stream();
	ncclComm_t comm;
	fine(ncclCommInitRank(&comm, n_rank, shared_id(), rank));
	device_array x(64);
	upload(x.p, std::vector<float>(16, 1.0f), s);
	fine(ncclAllReduce(x.p, x.p, rank ? 15 : 16, ncclFloat32, ncclSum, comm, s));
	must(cudaStreamSynchronize(s));
}

static void case_absent(void)
{
	cudaStream_t s = new_stream();
	ncclComm_t comm;
	fine(ncclCommInitRank(&comm, n_rank, shared_id(), rank));
	device_array x(64);
	upload(x.p, std::vector<float>(16, 1.0f), s);
	if (rank == 0)
		fine(ncclAllReduce(x.p, x.p, 16, ncclFloat32, ncclSum, comm, s));
	must(cudaStreamSynchronize(s));
	wire_barrier();
}

static void case_async_error(void)
{
	cudaStream_t s = new_stream();
	ncclComm_t comm;
	ncclResult_t state;
	fine(ncclCommInitRank(&comm, n_rank, shared_id(), rank));
	device_array x(64);
	upload(x.p, std::vector<float>(16, 1.0f), s);
	fine(ncclAllReduce(x.p, x.p, 16, ncclFloat32, ncclSum, comm, s));
	must(cudaStreamSynchronize(s));
	fine(ncclCommGetAsyncError(comm, &state));
	expect(state == ncclRemoteError, "the error shows");
	fine(ncclCommAbort(comm));
}

static void case_seeds(void)
{
	char seed[16];
	snprintf(seed, sizeof seed, "%d", rank + 5);
	setenv("CUDASIM_STREAMS", "random", 1);
	setenv("CUDASIM_SEED", seed, 1);
	cudaStream_t a = new_stream(), b = new_stream();
	ncclComm_t first, second;
	fine(ncclCommInitRank(&first, n_rank, shared_id(), rank));
	fine(ncclCommSplit(first, 0, rank, &second, nullptr));
	device_array x(64), y(64);
	must(cudaMemsetAsync(x.p, 0, 64, a));
	must(cudaMemsetAsync(y.p, 0, 64, b));
	for (int i = 0; i < 20; i++) {
		fine(ncclAllReduce(x.p, x.p, 16, ncclFloat32, ncclSum, first, a));
		fine(ncclAllReduce(y.p, y.p, 16, ncclFloat32, ncclSum, second, b));
	}
	must(cudaStreamSynchronize(rank ? a : b));
	must(cudaDeviceSynchronize());
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {{"kinds", case_kinds},	    {"nonblocking", case_nonblocking}, {"mismatch", case_mismatch},
	     {"absent", case_absent},	    {"async-error", case_async_error}, {"seeds", case_seeds}};

static int work(const char *name)
{
	wire_start();
	rank = wire_rank();
	n_rank = wire_size();
	for (const auto &c : cases)
		if (!strcmp(c.name, name))
			c.run();
	wire_end();
	return 0;
}

/* Runs a case on n ranks; the output of all is in *text. */
static bool launch(int n, const char *name, const char *settings, std::string *text)
{
	char exe[4096], command[8192], line[512];
	const ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
	exe[length > 0 ? length : 0] = '\0';
	const char *mpirun = getenv("AX_MPIRUN");
	snprintf(command, sizeof command,
		 "ASAN_OPTIONS=detect_leaks=0 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 %s timeout 60 "
		 "%s -n %d %s %s 2>&1",
		 settings, mpirun && *mpirun ? mpirun : "mpirun --oversubscribe --bind-to none", n, exe, name);
	FILE *p = popen(command, "r");
	text->clear();
	while (p && fgets(line, sizeof line, p))
		*text += line;
	return p && pclose(p) == 0;
}

static void passes(int n, const char *name)
{
	std::string text;
	char title[128];
	snprintf(title, sizeof title, "%s on %d ranks", name, n);
	const bool good = launch(n, name, "", &text);
	if (!good)
		printf("# %s\n", text.c_str());
	check(good, title);
}

static void fails(int n, const char *name, const char *settings, const char *message)
{
	std::string text;
	char title[128];
	snprintf(title, sizeof title, "%s on %d ranks: \"%s\"", name, n, message);
	const bool good = !launch(n, name, settings, &text) && text.find(message) != std::string::npos;
	if (!good)
		printf("# %s\n", text.c_str());
	check(good, title);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return work(argv[1]);
	if (!wire_possible() || system("mpirun --version >/dev/null 2>&1")) {
		printf("ok 1 - NCCL over MPI # SKIP no MPI\n");
		return 0;
	}
	passes(2, "kinds");
	if (!CUDASIM_FLAVOUR_PLAIN && !getenv("AX_LONG"))
		return finish();
	passes(1, "kinds");
	passes(3, "kinds");
	passes(2, "nonblocking");
	passes(2, "seeds");
	fails(2, "mismatch", "", "ranks disagree");
	fails(2, "absent", "CUDASIM_TIMEOUT=2", "has waited for the others");
	std::string text;
	check(launch(2, "async-error", "CUDASIM_NCCL_FAIL=1", &text), "an asynchronous error shows and does not hang");
	return finish();
}
