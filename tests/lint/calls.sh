#!/bin/sh
# Memory and files go through lib/base, where tests make them fail: no direct calls elsewhere. Folders of the Hub's cache are
# only listed, and what cannot be listed is said to be missing.
calls='malloc|calloc|realloc|strdup|strndup|posix_memalign|open|creat|fopen|mkstemp|mkdtemp|rename|unlink|mkdir|rmdir|opendir|fsync|fdatasync|ftruncate|posix_fallocate|mmap|pwrite|pread'
found=$(grep -nE "(^|[^a-z0-9_>.])($calls)\(" lib/*/*.c lib/tensor/cpu/*.c tools/*/*.c | grep -v '^lib/base/' | grep -v '^lib/conf/hub.*opendir(')
if [ -z "$found" ]; then
	echo "ok 1 - memory and files only through lib/base"
else
	echo "not ok 1 - memory and files only through lib/base"
	echo "$found" | sed 's/^/# /'
	exit 1
fi
