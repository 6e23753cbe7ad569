/* Tokenizers of the shared assets as model folders, for tests; include after defining SCRATCH, a folder for them. */
#ifndef AX_PARITY_ASSETS_H
#define AX_PARITY_ASSETS_H

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"

#define N_TOK 64

static const char *assets;
static struct ax_arena arena;

/* A path (or text) of the assets' folder and up to two names. */
static char *text_at(const char *fmt, const char *a, const char *b)
{
	char path[512];

	snprintf(path, sizeof(path), fmt, assets, a, b);
	return ax_arena_strndup(&arena, path, strlen(path));
}

/* Copy a file of a tokenizer folder, unpacked. */
static bool unpack(const char *name, const char *file)
{
	static const char *const suffix[] = {"", ".gz"};
	char path[512], to[512];
	struct ax_buf b = AX_BUF_INIT;
	gzFile z = NULL;
	char block[65536];
	int n;

	for (int i = 0; i < 2 && !z; i++) {
		snprintf(path, sizeof(path), "%s/tokenizers/%s/%s%s", assets, name, file, suffix[i]);
		z = ax_path_exists(path) ? gzopen(path, "rb") : NULL;
	}
	if (!z)
		return false;
	while ((n = gzread(z, block, sizeof(block))) > 0)
		ax_buf_add(&b, block, (size_t)n);
	gzclose(z);
	snprintf(to, sizeof(to), SCRATCH "/%s", name);
	ax_mkdirs(to, NULL);
	snprintf(to, sizeof(to), SCRATCH "/%s/%s", name, file);
	n = ax_write_file(to, b.p, b.n, NULL);
	ax_buf_release(&b);
	return n == 0;
}

static const char *model_dir(const char *name)
{
	static const char *done[N_TOK];
	static size_t n;
	char path[512];

	snprintf(path, sizeof(path), SCRATCH "/%s", name);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(done[i], path))
			return done[i];
	unpack(name, "tokenizer.json");
	unpack(name, "tokenizer_config.json");
	unpack(name, "special_tokens_map.json");
	unpack(name, "chat_template.jinja");
	return done[n++] = ax_arena_strndup(&arena, path, strlen(path));
}

#endif
