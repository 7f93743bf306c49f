/* Bearer secrets: the daemon's own token, tokens that an operator has named, and the sessions of the page. Each is 64 hex
 * digits of the kernel's randomness; but for the own one, of which programs of this user find a copy in a file, only a
 * SHA-256 of it is kept, here and in the state folder. (So much randomness needs no slow hash.) Nettle has it, and a
 * comparison in constant time; it comes with libmicrohttpd's GnuTLS anyway. Any thread. */
#ifndef TALLY_API_CREDENTIALS_H
#define TALLY_API_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_CHARS 65 /* 64 hex digits and NUL */
#define TOKEN_NAME_CHARS 33
#define TOKENS_MAX 64u
#define SESSIONS_MAX 64u
#define SESSION_S 43200
#define ROTATION_GRACE_S 60
#define BAD_TOKENS_A_SECOND 5u

struct credentials;

/* The bits of enum scope that a word stands for, with those that it implies; 0: it is none. */
unsigned credential_scopes(const char *word);

struct credential {
    uint64_t serial;             /* never used again while the daemon runs */
    char name[TOKEN_NAME_CHARS]; /* of a token; of a session the beginning of its hash */
    unsigned scopes;             /* bits of enum scope */
    int64_t created_s, expires_s, used_s; /* wall clock; expires 0: never; used 0: not since the start */
};

/* own: the daemon's token. The files are STATE_DIR/tokens and sessions_path; what is no line of ours in them is passed
 * over, and logged. NULL: out of memory. */
struct credentials *credentials_new(const char *state_dir, const char *runtime_dir, const char *sessions_path,
                                    const char *own);
void credentials_free(struct credentials *credentials);

/* What the secret allows now; 0: nothing. `who`, of 8 bytes or more, gets "token",
 * "token NAME" or "session 1a2b3c4d", cut short where that does not fit. */
unsigned credentials_check(struct credentials *credentials, const char *secret, char *who, size_t who_bytes,
                           uint64_t *serial);
/* Whether what was checked would be allowed still: it was not revoked, and has not expired. */
bool credentials_stand(struct credentials *credentials, uint64_t serial);
/* Counts a secret that was none. true: there were more than BAD_TOKENS_A_SECOND of them in this second. */
bool credentials_bad(struct credentials *credentials);

/* A new token, whose secret is told here and never again; expires_s: wall clock, 0: never. 0, -EEXIST (the name is taken),
 * -EDQUOT (TOKENS_MAX) or -errno of the file; then there is none. Waits for the disk. */
int credentials_add(struct credentials *credentials, const char *name, unsigned scopes, int64_t expires_s,
                    char secret[SECRET_CHARS], struct credential *added);
/* 0, -ENOENT, or -errno of the file: then it is revoked until a restart. *removed: as it was. Waits for the disk. */
int credentials_remove(struct credentials *credentials, const char *name, struct credential *removed);
/* All tokens, in the order in which they were made; returns how many. *sessions: how many of those stand. */
size_t credentials_list(struct credentials *credentials, struct credential tokens[TOKENS_MAX], size_t *sessions);
/* Replaces the own token in both folders; the one before is good for ROTATION_GRACE_S more, and the page's sessions end.
 * 0 or -errno: then nothing has changed. Waits for the disk. */
int credentials_rotate(struct credentials *credentials);

/* A session for the page, of READ and CONTROL, for SESSION_S. Of SESSIONS_MAX the one that ends first makes room. 0 or
 * -EIO: no randomness. */
int credentials_session(struct credentials *credentials, char secret[SECRET_CHARS], struct credential *added);

/* The version of the library that is used. */
const char *credentials_library(void);

/* 64 hex digits. */
bool secret_make(char secret[SECRET_CHARS]);
/* In a time that tells nothing of where they differ. */
bool secret_same(const char *known, const char *given);

#endif
