/*
 * Does the simulator catch what it is for? Each planted bug (bugs.cu, bugs_host.cu) runs in a process of its own in every mode of this
 * build, and so does the same program without the bug: it must pass in all modes. "Caught" is a wrong result, a process
 * that died of a signal or of a report.
 */
#include <cstring>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "bugs.h"
#include "tap.h"

struct mode {
	char kind; /* as in bug_case */
	const char *threads, *streams, *seed;
};

#if CUDASIM_FLAVOUR_PLAIN
static const mode modes[] = {
	{'f', "forward", "eager", "1"}, {'t', "reverse", "eager", "1"}, {'t', "random", "eager", "1"},
	{'t', "random", "eager", "2"},	{'s', "forward", "lazy", "1"},	{'s', "forward", "ahead", "1"},
	{'s', "random", "random", "3"},
};
#elif defined(__SANITIZE_THREAD__) || defined(CUDASIM_FLAVOUR_CHECK)
static const mode modes[] = {{'c', "forward", "eager", "1"}};
#else
static const mode modes[] = {{'f', "forward", "eager", "1"}, {'s', "forward", "lazy", "1"}};
#endif

/* What a run says. */
struct outcome {
	bool caught;
	std::string text;
};

[[noreturn]] static void child(const bug_case *c, const mode &m, bool bug, int out)
{
	setenv("CUDASIM_THREADS", m.threads, 1);
	setenv("CUDASIM_STREAMS", m.streams, 1);
	setenv("CUDASIM_SEED", m.seed, 1);
	dup2(out, 1);
	dup2(out, 2);
	close(out);
	if (!c->run(bug)) {
		fprintf(stderr, "wrong result\n");
		exit(71);
	}
	exit(0);
}

static outcome run(const bug_case *c, const mode &m, bool bug)
{
	int fd[2], status = 0;
	char buffer[4096];
	outcome o = {false, ""};
	if (pipe(fd))
		return o;
	fflush(nullptr);
	const pid_t pid = fork();
	if (pid == 0) {
		close(fd[0]);
		child(c, m, bug, fd[1]);
	}
	close(fd[1]);
	for (ssize_t n; (n = read(fd[0], buffer, sizeof buffer)) > 0;)
		o.text.append(buffer, static_cast<size_t>(n));
	close(fd[0]);
	waitpid(pid, &status, 0);
	o.caught = status != 0;
	return o;
}

static void complain(const char *what, const mode &m, const outcome &o)
{
	printf("# %s with threads %s, streams %s, seed %s:\n", what, m.threads, m.streams, m.seed);
	printf("# %.1000s\n", o.text.c_str());
}

static bool passes_without(const bug_case *c)
{
	bool good = true;
	for (const mode &m : modes) {
		const outcome o = run(c, m, false);
		if (o.caught)
			complain("false alarm", m, o);
		good &= !o.caught;
	}
	return good;
}

/* In the modes that the table names for this build. A mode that catches more than the table says is welcome. */
static bool is_caught(const bug_case *c)
{
	const char where = modes[0].kind == 'c' ? 'c' : CUDASIM_FLAVOUR_PLAIN ? c->plain : c->asan;
	if (where == '-')
		return true;
	for (const mode &m : modes) {
		if (m.kind != where)
			continue;
		const outcome o = run(c, m, true);
		const bool said = where != 'c' || o.text.find(c->message) != std::string::npos;
		if (o.caught && said)
			return true;
		complain("not caught", m, o);
	}
	return false;
}

static void run_all(const bug_case *cases, int n)
{
	char title[256];
	for (int i = 0; i < n; i++) {
		const bug_case *c = &cases[i];
		snprintf(title, sizeof title, "%s: passes without the bug", c->name);
		check(passes_without(c), title);
		snprintf(title, sizeof title, "%s: caught", c->name);
		check(is_caught(c), title);
	}
}

int main(void)
{
	run_all(kernel_bugs, n_kernel_bugs);
	run_all(host_bugs, n_host_bugs);
	return finish();
}
