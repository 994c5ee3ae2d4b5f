/** Owns the rows of the catalogue of which nothing is left here, each with the reason in one sentence. */
export const notApplicable: Readonly<Record<string, string>> = {
	"DP-07":
		"An event that is replayed under a fresh id differs from a new one by the platform's own time alone, which the channel sees and a session does not, so the guard against it stands before `send`.",
};
