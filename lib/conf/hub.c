/* The Hugging Face cache: CACHE/models--org--name/{refs/main,snapshots/COMMIT/...}. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "conf/conf.h"

#define PATH_LEN 4096
#define N_PLACES 5

/* Parts of [A-Za-z0-9._-], none starting with a dot, separated by at most `max` slashes. */
static bool is_plain(const char *name, int max)
{
	char part[256];

	for (;; max--) {
		size_t n = strcspn(name, "/");

		if (n >= sizeof(part))
			return false;
		memcpy(part, name, n);
		part[n] = '\0';
		if (!ax_name_is_safe(part))
			return false;
		if (!name[n])
			return true;
		if (max == 0)
			return false;
		name += n + 1;
	}
}

static bool put_path(char *out, const char *folder, const char *tail)
{
	int n = snprintf(out, PATH_LEN, "%s%s", folder, tail);

	return n >= 0 && n < PATH_LEN;
}

/* Cache folders in the order in which they are searched. */
static size_t places(char place[N_PLACES][PATH_LEN])
{
	static const struct {
		const char *var, *tail;
	} from[N_PLACES] = {
	    {"HF_HUB_CACHE", ""},
	    {"HUGGINGFACE_HUB_CACHE", ""},
	    {"HF_HOME", "/hub"},
	    {"XDG_CACHE_HOME", "/huggingface/hub"},
	    {"HOME", "/.cache/huggingface/hub"},
	};
	size_t n = 0;

	for (size_t i = 0; i < N_PLACES; i++) {
		const char *s = getenv(from[i].var);

		if (s && *s && put_path(place[n], s, from[i].tail) && (n == 0 || strcmp(place[n], place[n - 1]) != 0))
			n++;
	}
	return n;
}

/* "org/name" -> "models--org--name". */
static void repo_folder(const char *kind, const char *name, char out[PATH_LEN])
{
	size_t n = (size_t)snprintf(out, PATH_LEN, "/%s--", kind);

	for (; *name && n < PATH_LEN - 3; name++) {
		if (*name == '/')
			out[n++] = '-';
		out[n++] = *name == '/' ? '-' : *name;
	}
	out[n] = '\0';
}

/* The commit that a branch or tag of the repository points at; the revision itself where it is a commit. */
static bool read_ref(const char *repo, const char *revision, char commit[256])
{
	struct ax_buf b = AX_BUF_INIT;
	char path[PATH_LEN];
	int n = snprintf(path, sizeof(path), "%s/refs/%s", repo, revision);
	bool ok = n > 0 && n < PATH_LEN && ax_read_file(path, 255, &b, NULL) == 0;

	if (ok) {
		b.n = strcspn(b.p, " \r\n");
		snprintf(commit, 256, "%.*s", (int)b.n, b.p);
	} else
		snprintf(commit, 256, "%s", revision);
	ax_buf_release(&b);
	return is_plain(commit, 0);
}

/* A download that was cut leaves links to blobs that are not there. *bad is the first such name. */
static bool is_whole(const char *folder, char bad[256])
{
	DIR *d = opendir(folder);
	bool ok = d != NULL, empty = true;

	bad[0] = '\0';
	for (struct dirent *f; d && ok && (f = readdir(d));) {
		char path[PATH_LEN];
		struct stat st;

		if (f->d_name[0] == '.')
			continue;
		empty = false;
		if (snprintf(path, sizeof(path), "%s/%s", folder, f->d_name) >= PATH_LEN || stat(path, &st) != 0) {
			snprintf(bad, 256, "%s", f->d_name);
			ok = false;
		}
	}
	if (d)
		closedir(d);
	return ok && !empty;
}

struct lookup {
	const char *kind, *name, *revision;
	char found[PATH_LEN];  /* the whole snapshot */
	char broken[PATH_LEN]; /* one with files missing */
	char missing[256];     /* the first of these */
};

static void look_in(struct lookup *l, const char *place)
{
	char repo[PATH_LEN], folder[PATH_LEN], commit[256];

	repo_folder(l->kind, l->name, folder);
	if (!put_path(repo, place, folder) || !read_ref(repo, l->revision ? l->revision : "main", commit))
		return;
	if (snprintf(folder, sizeof(folder), "%s/snapshots/%s", repo, commit) >= PATH_LEN || !ax_path_is_dir(folder))
		return;
	if (is_whole(folder, l->missing))
		memcpy(l->found, folder, PATH_LEN);
	else
		memcpy(l->broken, folder, PATH_LEN);
}

static int not_found(const struct lookup *l, char place[N_PLACES][PATH_LEN], size_t n, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	char folder[PATH_LEN];
	int rc;

	repo_folder(l->kind, l->name, folder);
	if (l->broken[0])
		ax_buf_addf(&b, "%s: incomplete in the Hugging Face cache: %s of %s is missing", l->name,
			    l->missing[0] ? l->missing : "everything", l->broken);
	else
		ax_buf_addf(&b, "%s: no such file or folder, and %s%s%s is in none of", l->name, folder + 1,
			    l->revision ? " of revision " : "", l->revision ? l->revision : "");
	for (size_t i = 0; !l->broken[0] && i < n; i++)
		ax_buf_addf(&b, "%s %s", i ? "," : "", place[i]);
	ax_buf_addf(&b, "; to get it: hf download %s%s%s%s",
		    strcmp(l->kind, "datasets") == 0 ? "--repo-type dataset " : "", l->name,
		    l->revision ? " --revision " : "", l->revision ? l->revision : "");
	rc = ax_fail(e, b.oom ? AX_EMEM : AX_EIO, "%s", b.oom ? "out of memory" : b.p);
	ax_buf_release(&b);
	return rc;
}

int ax_hub_hint(const char *path, int rc, struct ax_err *e)
{
	static const char *const kind[] = {"/models--", "/datasets--"};
	char name[256];
	size_t n = 0;

	for (int k = 0; rc && e && k < 2; k++) {
		const char *at = strstr(path, kind[k]), *end = at ? strstr(at, "/snapshots/") : NULL;
		char msg[AX_ERR_MAX];

		if (!end || end - at >= (ptrdiff_t)sizeof(name))
			continue;
		for (at += strlen(kind[k]); at < end; at++, n++) {
			bool slash = at[0] == '-' && at[1] == '-';

			name[n] = slash ? '/' : *at;
			at += slash;
		}
		memcpy(msg, e->msg, sizeof(msg));
		return ax_fail(e, rc, "%s; is the download complete? hf download %s%.*s", msg,
			       k ? "--repo-type dataset " : "", (int)n, name);
	}
	return rc;
}

int ax_hub_find(struct ax_conf *c, const char *kind, const char *name, const char *revision, const char **path,
		struct ax_err *e)
{
	char place[N_PLACES][PATH_LEN];
	struct lookup l = {.kind = kind, .name = name, .revision = revision};
	size_t n;

	if (!*name)
		return ax_fail(e, AX_EUSAGE, "the name of a %.*s is empty", (int)strlen(kind) - 1, kind);
	if (ax_path_exists(name)) {
		*path = ax_arena_strndup(&c->arena, name, strlen(name));
		return *path ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	}
	if (!is_plain(name, 1))
		return ax_fail(e, AX_EIO, "%s: no such file or folder", name);
	if (revision && !is_plain(revision, 3))
		return ax_fail(e, AX_EUSAGE, "%s: revision \"%.80s\" is no branch, tag or commit", name, revision);
	n = places(place);
	for (size_t i = 0; i < n && !l.found[0]; i++)
		look_in(&l, place[i]);
	if (!l.found[0])
		return not_found(&l, place, n, e);
	*path = ax_arena_strndup(&c->arena, l.found, strlen(l.found));
	return *path ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}
