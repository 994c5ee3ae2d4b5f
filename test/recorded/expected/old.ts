// What a replay of the streams recorded from OpenClaw 2026.5.28 must give.
// Numbers in the comments are ms after the first line of the stream: of the line itself, and in brackets of the time that
// the line gives as startedAt or endedAt. Run and session ids are cut to their first eight digits there.

import type { Expectation } from "./types.ts";

export const expectedOld: Record<string, Expectation> = {
	// 350: the send admits 05916a8f under session 70c75671, a reservation in generation 1.
	// 3922: its start (startedAt 3911) makes it the live run. 5658: its end (endedAt 5657) settles it: completed.
	// Two reports, both applied. The row is ended, 5657 - 3911 = 1746 ms.
	// At odds: the row of 395, which has an active run and no status. The rows of 3954 and 5687 do not say hasActiveRun.
	"old-normal": {
		reports: { applied: 2, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-normal-mws0xglo",
				generation: 1,
				sessionId: "70c75671-9dc5-4162-9a32-76fc3779b0b0",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363262930,
				endedAt: 1795363264676,
				runtimeMs: 1746,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-normal-mws0xglo",
				generation: 1,
				runId: "05916a8f-ba6b-4a9f-8da9-96ae0a2a4821",
				sessionId: "70c75671-9dc5-4162-9a32-76fc3779b0b0",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363262930,
				endedAt: 1795363264676,
			},
		],
		archive: [],
		hostRowsAtOdds: 1,
	},
	// 21: the send admits e212074d. 761: its start (startedAt 761), applied.
	// 1013: the abort tells it to stop; the row stays running. 1028: its end (aborted, startedAt 55, endedAt 1022), applied.
	// The outcome is aborted by abort. The start's 761 stands against the end's 55, so it ran 1022 - 761 = 261 ms.
	// 1273: its error comes 245 ms after it settled: duplicate. The error text is not kept and the row does not turn failed.
	// At odds: the row of 87 (active run, no status). The row of 1107 says timeout and no active run, which agree.
	"old-abort": {
		reports: { applied: 2, archived: 0, duplicate: 1, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-abort-mws0xlxo",
				generation: 1,
				sessionId: "e416597f-9d6e-4eb5-91b5-58104ce74a6d",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "aborted",
				lastError: null,
				startedAt: 1795363266927,
				endedAt: 1795363267188,
				runtimeMs: 261,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-abort-mws0xlxo",
				generation: 1,
				runId: "e212074d-6202-42ac-8942-faa89cdf9085",
				sessionId: "e416597f-9d6e-4eb5-91b5-58104ce74a6d",
				outcome: "aborted",
				stoppedBy: "abort",
				error: null,
				startedAt: 1795363266927,
				endedAt: 1795363267188,
			},
		],
		archive: [],
		hostRowsAtOdds: 1,
	},
	// 19: the send admits 995341e8. 696: its start (startedAt 695). 959: the abort.
	// 965: its end (aborted, startedAt 50, endedAt 964) settles it: aborted by abort, from the start's 695 to 964.
	// 1011: the second send admits e1562770, a reservation without a slot.
	// 1296: the error of 995341e8, already settled: duplicate, and nothing of it reaches the second run.
	// 2032: the start of e1562770 (startedAt 2029). 4159: its end (endedAt 4157): completed, 2128 ms.
	// At odds: the row of 80 (active run, no status) and the row of 1064 (active run, status timeout).
	"old-abort-then-send": {
		reports: { applied: 4, archived: 0, duplicate: 1, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-abort-then-send-mws0xn4f",
				generation: 1,
				sessionId: "b9b3d706-e246-41fc-aab7-40a154a8df95",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363269507,
				endedAt: 1795363271635,
				runtimeMs: 2128,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-abort-then-send-mws0xn4f",
				generation: 1,
				runId: "995341e8-f020-4e39-895f-c2b85fd68ce0",
				sessionId: "b9b3d706-e246-41fc-aab7-40a154a8df95",
				outcome: "aborted",
				stoppedBy: "abort",
				error: null,
				startedAt: 1795363268173,
				endedAt: 1795363268442,
			},
			{
				sessionKey: "agent:main:lab-abort-then-send-mws0xn4f",
				generation: 1,
				runId: "e1562770-c6d5-4f6d-9c83-3c7457082201",
				sessionId: "b9b3d706-e246-41fc-aab7-40a154a8df95",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363269507,
				endedAt: 1795363271635,
			},
		],
		archive: [],
		hostRowsAtOdds: 2,
	},
	// 28: the send admits 96aab795. 1344: its start (startedAt 1343), applied.
	// 1622: the delete ends generation 1, tells the run to stop and opens a hidden generation.
	// 1953: its end (endedAt 1951) comes 331 ms later, within the grace: archived. The line says a plain end; having been
	// told to stop, the run is aborted by delete.
	// 5272: the create has no line of its own, so the key stays hidden: no row.
	// At odds: the row of 103 (active run, no status). The row of 2644 says neither field.
	"old-delete-midrun": {
		reports: { applied: 1, archived: 1, duplicate: 0, unknown: 0, refused: 0 },
		rows: [],
		runs: [
			{
				sessionKey: "agent:main:lab-delete-midrun-mws0y3iz",
				generation: 1,
				runId: "96aab795-a90f-4070-a38c-b797e17949f6",
				sessionId: "99c11a28-bc9d-4941-93de-62190d6b4b34",
				outcome: "aborted",
				stoppedBy: "delete",
				error: null,
				startedAt: 1795363290027,
				endedAt: 1795363290635,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:lab-delete-midrun-mws0y3iz",
				generation: 1,
				endedBy: "delete",
				sessionIds: ["99c11a28-bc9d-4941-93de-62190d6b4b34"],
			},
		],
		hostRowsAtOdds: 1,
	},
	// 19: the send admits b305f98b. 666: its start (startedAt 665), applied.
	// 1079: its error (endedAt 1077, "LLM request timed out."), applied: failed, 1077 - 665 = 412 ms.
	// An error is failed whatever its text says. 1096 is a fallback_step, progress only.
	// The host's own row stays running to the end, but only in the marks of 21609 and 37663, which are not rows.
	// At odds: the row of 75 (active run, no status).
	"old-drop": {
		reports: { applied: 2, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-drop-mws0yl5n",
				generation: 1,
				sessionId: "1f31684c-457d-477c-96d3-54a833f25735",
				status: "failed",
				hasActiveRun: false,
				lastOutcome: "failed",
				lastError: "LLM request timed out.",
				startedAt: 1795363312195,
				endedAt: 1795363312607,
				runtimeMs: 412,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-drop-mws0yl5n",
				generation: 1,
				runId: "b305f98b-7a16-487f-a5f5-dbd415f77475",
				sessionId: "1f31684c-457d-477c-96d3-54a833f25735",
				outcome: "failed",
				stoppedBy: null,
				error: "LLM request timed out.",
				startedAt: 1795363312195,
				endedAt: 1795363312607,
			},
		],
		archive: [],
		hostRowsAtOdds: 1,
	},
	// 244: the send admits 435689a0. 996: its start (startedAt 995), applied.
	// 1118: its error (endedAt 1116), applied: failed with the text of the line, 1116 - 995 = 121 ms.
	// 1178 is a fallback_step, progress only. The marks from 20349 on still show running; marks are not rows.
	// At odds: the row of 310 (active run, no status).
	"old-error400": {
		reports: { applied: 2, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-error400-mws0y5h9",
				generation: 1,
				sessionId: "e3226af9-b5cc-4ea0-b775-e1d14633ca2c",
				status: "failed",
				hasActiveRun: false,
				lastOutcome: "failed",
				lastError:
					"LLM request failed: provider rejected the request schema or tool payload.",
				startedAt: 1795363292550,
				endedAt: 1795363292671,
				runtimeMs: 121,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-error400-mws0y5h9",
				generation: 1,
				runId: "435689a0-9394-47a9-9ebf-0111c17c6ed3",
				sessionId: "e3226af9-b5cc-4ea0-b775-e1d14633ca2c",
				outcome: "failed",
				stoppedBy: null,
				error:
					"LLM request failed: provider rejected the request schema or tool payload.",
				startedAt: 1795363292550,
				endedAt: 1795363292671,
			},
		],
		archive: [],
		hostRowsAtOdds: 1,
	},
	// 48: the "/queue collect" message is admitted as adb49a72. No lifecycle line ever names it: it stays a reservation.
	// 1718: c1561508 admitted. 2360: its start (startedAt 2356).
	// 2540 and 2543: f3919f36 and 0a9ff7e9 admitted while it runs, two reservations without a slot.
	// 5512: the end of c1561508 (endedAt 5510). 6911 and 8113: start (6905) and end (8111) of f3919f36.
	// 9205 and 9867: start (9204) and end (9865) of 0a9ff7e9. The session was free at each start: six reports applied.
	// The row is that of the last run, 9865 - 9204 = 661 ms.
	// No row is at odds: 81 says no active run and no status, the others do not say hasActiveRun.
	"old-overlap-collect": {
		reports: { applied: 6, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-overlap-collect-mws0xvjr",
				generation: 1,
				sessionId: "6cd4aaec-dbe5-4a7f-a991-1b6bd7b73abf",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363287926,
				endedAt: 1795363288587,
				runtimeMs: 661,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-overlap-collect-mws0xvjr",
				generation: 1,
				runId: "adb49a72-3bc0-4438-b866-e6cbd0619742",
				sessionId: "6cd4aaec-dbe5-4a7f-a991-1b6bd7b73abf",
				outcome: null,
				stoppedBy: null,
				error: null,
				startedAt: null,
				endedAt: null,
			},
			{
				sessionKey: "agent:main:lab-overlap-collect-mws0xvjr",
				generation: 1,
				runId: "c1561508-76cc-4c92-8e8f-abd52e57d598",
				sessionId: "6cd4aaec-dbe5-4a7f-a991-1b6bd7b73abf",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363281078,
				endedAt: 1795363284232,
			},
			{
				sessionKey: "agent:main:lab-overlap-collect-mws0xvjr",
				generation: 1,
				runId: "f3919f36-cff8-490d-a533-e1e31172d614",
				sessionId: "6cd4aaec-dbe5-4a7f-a991-1b6bd7b73abf",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363285627,
				endedAt: 1795363286833,
			},
			{
				sessionKey: "agent:main:lab-overlap-collect-mws0xvjr",
				generation: 1,
				runId: "0a9ff7e9-35bc-49fb-8d09-909ec2968491",
				sessionId: "6cd4aaec-dbe5-4a7f-a991-1b6bd7b73abf",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363287926,
				endedAt: 1795363288587,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 29: the "/queue followup" message is admitted as d8d2272f. No lifecycle line names it: it stays a reservation.
	// 1566: b835ba98 admitted. 2417: its start (startedAt 2415).
	// 2593 and 2595: 5d1300aa and ccebb71e admitted while it runs.
	// 5562: the end of b835ba98 (endedAt 5561). 6240 and 7386: start (6239) and end (7384) of 5d1300aa.
	// 8649 and 9474: start (8649) and end (9472) of ccebb71e. Never two at once: six reports applied.
	// The row is that of the last run, 9472 - 8649 = 823 ms.
	// No row is at odds: 55 says no active run and no status, the others do not say hasActiveRun.
	"old-overlap-followup": {
		reports: { applied: 6, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-overlap-followup-mws0xuc2",
				generation: 1,
				sessionId: "55639406-0ab8-47a3-9a5d-9076a97bc133",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363285420,
				endedAt: 1795363286243,
				runtimeMs: 823,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-overlap-followup-mws0xuc2",
				generation: 1,
				runId: "d8d2272f-1ae8-43cb-ad3b-14279c6d9e5f",
				sessionId: "55639406-0ab8-47a3-9a5d-9076a97bc133",
				outcome: null,
				stoppedBy: null,
				error: null,
				startedAt: null,
				endedAt: null,
			},
			{
				sessionKey: "agent:main:lab-overlap-followup-mws0xuc2",
				generation: 1,
				runId: "b835ba98-ea37-4662-8823-791b26c6a905",
				sessionId: "55639406-0ab8-47a3-9a5d-9076a97bc133",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363279186,
				endedAt: 1795363282332,
			},
			{
				sessionKey: "agent:main:lab-overlap-followup-mws0xuc2",
				generation: 1,
				runId: "5d1300aa-66b9-41b6-94a8-3b0807c9001c",
				sessionId: "55639406-0ab8-47a3-9a5d-9076a97bc133",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363283010,
				endedAt: 1795363284155,
			},
			{
				sessionKey: "agent:main:lab-overlap-followup-mws0xuc2",
				generation: 1,
				runId: "ccebb71e-290f-490d-9101-b6711d7c6908",
				sessionId: "55639406-0ab8-47a3-9a5d-9076a97bc133",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363285420,
				endedAt: 1795363286243,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 49: the "/queue interrupt" message is admitted as c597714a. No lifecycle line names it: it stays a reservation.
	// 1580: dbbec9bd admitted. 2279: its start (startedAt 2274).
	// 2487 and 2489: b0b044c1 and e8ed98b4 admitted while it runs. The host does not interrupt it after all.
	// 5442: the end of dbbec9bd (endedAt 5442). 7441 and 8574: start (7433) and end (8573) of b0b044c1.
	// 9280 and 9902: start (9278) and end (9901) of e8ed98b4. Never two at once: six reports applied.
	// The row is that of the last run, 9901 - 9278 = 623 ms.
	// No row is at odds: 74 says no active run and no status, the others do not say hasActiveRun.
	"old-overlap-interrupt": {
		reports: { applied: 6, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-overlap-interrupt-mws0y02a",
				generation: 1,
				sessionId: "ee01d644-f9bc-47e0-99ce-713cd4d28742",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363293557,
				endedAt: 1795363294180,
				runtimeMs: 623,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-overlap-interrupt-mws0y02a",
				generation: 1,
				runId: "c597714a-ed56-49ad-a7ca-a7944aabf4da",
				sessionId: "ee01d644-f9bc-47e0-99ce-713cd4d28742",
				outcome: null,
				stoppedBy: null,
				error: null,
				startedAt: null,
				endedAt: null,
			},
			{
				sessionKey: "agent:main:lab-overlap-interrupt-mws0y02a",
				generation: 1,
				runId: "dbbec9bd-6df4-4dc2-898a-a0a58f343536",
				sessionId: "ee01d644-f9bc-47e0-99ce-713cd4d28742",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363286553,
				endedAt: 1795363289721,
			},
			{
				sessionKey: "agent:main:lab-overlap-interrupt-mws0y02a",
				generation: 1,
				runId: "b0b044c1-42db-4004-ad2b-c151c88800d2",
				sessionId: "ee01d644-f9bc-47e0-99ce-713cd4d28742",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363291712,
				endedAt: 1795363292852,
			},
			{
				sessionKey: "agent:main:lab-overlap-interrupt-mws0y02a",
				generation: 1,
				runId: "e8ed98b4-ca92-457d-8180-64ee2e823275",
				sessionId: "ee01d644-f9bc-47e0-99ce-713cd4d28742",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363293557,
				endedAt: 1795363294180,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 24: the send admits ae63eab1. 801: its start says startedAt 798.
	// 975: the second send admits 0fccd88a while the first runs, a reservation without a slot.
	// 3949: the end of ae63eab1 (endedAt 3947): completed. 4649: the start of 0fccd88a (startedAt 4648), session free.
	// 5782: its end (endedAt 5779): completed, 5779 - 4648 = 1131 ms.
	// At odds: the row of 96 (active run, no status). The row of 1010 says running and an active run, which agree.
	"old-overlap": {
		reports: { applied: 4, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-overlap-mws0xoq3",
				generation: 1,
				sessionId: "4323f653-6ab1-46b4-9efb-fa7232fd2c69",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363274242,
				endedAt: 1795363275373,
				runtimeMs: 1131,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-overlap-mws0xoq3",
				generation: 1,
				runId: "ae63eab1-8bf8-4284-922d-79f4d873b6ba",
				sessionId: "4323f653-6ab1-46b4-9efb-fa7232fd2c69",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363270392,
				endedAt: 1795363273541,
			},
			{
				sessionKey: "agent:main:lab-overlap-mws0xoq3",
				generation: 1,
				runId: "0fccd88a-1c2d-48df-91ac-e41c7adcd7c3",
				sessionId: "4323f653-6ab1-46b4-9efb-fa7232fd2c69",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363274242,
				endedAt: 1795363275373,
			},
		],
		archive: [],
		hostRowsAtOdds: 1,
	},
	// 11 and 19: parent and child are created, which has no line. 59: the send admits f2eae079 for the child.
	// 646: its start (startedAt 646).
	// 1649: the parent is reset. Nothing was admitted under its key, so the key is unknown: the reset creates generation 1,
	// idle, with the session id of the answer (53ba7474), and no generation ends.
	// 4774: the child's run ends (endedAt 4774): completed, 4774 - 646 = 4128 ms. The parent's reset does not touch it.
	// At odds: the child's row of 118 (active run, no status).
	"old-parent-child": {
		reports: { applied: 2, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-parent-child-mws0z4zq",
				generation: 1,
				sessionId: "53ba7474-0e19-4698-9cdc-1d05caf8745c",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
			{
				sessionKey: "agent:main:lab-parent-child-mws0z4zq-child",
				generation: 1,
				sessionId: "b1271ff2-5fda-4a1c-928f-6c0486b2aa83",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363337880,
				endedAt: 1795363342008,
				runtimeMs: 4128,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-parent-child-mws0z4zq-child",
				generation: 1,
				runId: "f2eae079-ea40-4ca0-9cd1-04ae05aa5972",
				sessionId: "b1271ff2-5fda-4a1c-928f-6c0486b2aa83",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363337880,
				endedAt: 1795363342008,
			},
		],
		archive: [],
		hostRowsAtOdds: 1,
	},
	// 527: the send admits aadbb7fa. 4798: its start says startedAt 4794.
	// 5415: the reset ends generation 1 and tells the run to stop. Generation 2 has the session id of the answer (71bfbe4d).
	// 5571: its end (endedAt 5570), 156 ms later: archived, aborted by reset although the line says a plain end.
	// Nothing drains any more: generation 2 is idle with no times. The host's row of 5601 says done on the old session.
	// At odds: the row of 596 (active run, no status).
	"old-reset-hang": {
		reports: { applied: 1, archived: 1, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-reset-hang-mws0xglr",
				generation: 2,
				sessionId: "71bfbe4d-dd43-407f-b798-7cf4df5f3687",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-reset-hang-mws0xglr",
				generation: 1,
				runId: "aadbb7fa-0809-49c2-9514-c2e6a3613f62",
				sessionId: "0d2b936d-aade-4cac-97d9-8a5b7dcdfef9",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795363264039,
				endedAt: 1795363264815,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:lab-reset-hang-mws0xglr",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["0d2b936d-aade-4cac-97d9-8a5b7dcdfef9"],
			},
		],
		hostRowsAtOdds: 1,
	},
	// 318: the send admits be0ee161. 4246: its start (startedAt 4244), applied.
	// 4992: the reset ends generation 1 and tells the run to stop. Generation 2 has session 4f4e7443.
	// 5078: its end (endedAt 5077), 86 ms later: archived, aborted by reset.
	// Generation 2 is idle with no times, and nothing else comes.
	// At odds: the row of 392 (active run, no status).
	"old-reset-midrun": {
		reports: { applied: 1, archived: 1, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-reset-midrun-mws0xglq",
				generation: 2,
				sessionId: "4f4e7443-c394-4e1b-bb39-fec163b41355",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-reset-midrun-mws0xglq",
				generation: 1,
				runId: "be0ee161-7606-42b9-bdc6-3ad8db9b6a09",
				sessionId: "e65b27f6-9f2f-4749-a394-81af63b281c4",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795363263429,
				endedAt: 1795363264262,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:lab-reset-midrun-mws0xglq",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["e65b27f6-9f2f-4749-a394-81af63b281c4"],
			},
		],
		hostRowsAtOdds: 1,
	},
	// 20: the send admits 94d8ed4a. 652: its start (startedAt 652).
	// 825: the reset ends generation 1; generation 2 has session 7ce53824. 864: the run's end (endedAt 863): archived, aborted.
	// 905: the second send admits 668a0a62 in generation 2. 1606: its start (startedAt 1605), the session is free.
	// It runs past the 5000 ms that the first run had to settle; that limit is not its own.
	// 22805: its end (endedAt 22803): completed, 22803 - 1605 = 21198 ms.
	// At odds: the rows of 81 and 969 (active run, no status).
	"old-reset-then-long-run": {
		reports: { applied: 3, archived: 1, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-reset-then-long-run-mws0z2ko",
				generation: 2,
				sessionId: "7ce53824-80b9-49ee-a3ea-2cf3b028016f",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363335705,
				endedAt: 1795363356903,
				runtimeMs: 21198,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-reset-then-long-run-mws0z2ko",
				generation: 1,
				runId: "94d8ed4a-8826-470f-8278-f2ff849c5a8e",
				sessionId: "920ad798-ae75-4bca-ba6d-4e804ddc7a35",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795363334752,
				endedAt: 1795363334963,
			},
			{
				sessionKey: "agent:main:lab-reset-then-long-run-mws0z2ko",
				generation: 2,
				runId: "668a0a62-1791-49c2-b34f-b3344abb0f23",
				sessionId: "7ce53824-80b9-49ee-a3ea-2cf3b028016f",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363335705,
				endedAt: 1795363356903,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:lab-reset-then-long-run-mws0z2ko",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["920ad798-ae75-4bca-ba6d-4e804ddc7a35"],
			},
		],
		hostRowsAtOdds: 2,
	},
	// 363: the send admits 974ff19c. 4587: its start (startedAt 4586).
	// 5170: the reset ends generation 1; generation 2 has session 116b50da.
	// 5493: the run's end (endedAt 5492), 323 ms later: archived, aborted by reset.
	// 5629: the second send admits cea871c6 in generation 2. 6778: its start (startedAt 6777). 9076: its end (endedAt 9076).
	// It completed in 9076 - 6777 = 2299 ms.
	// At odds: the rows of 421 and 5705 (active run, no status). 6436 is a mark, not a row.
	"old-reset-then-send": {
		reports: { applied: 3, archived: 1, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-reset-then-send-mws0xgls",
				generation: 2,
				sessionId: "116b50da-f5b9-4a44-af12-c540055cef25",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363265996,
				endedAt: 1795363268295,
				runtimeMs: 2299,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-reset-then-send-mws0xgls",
				generation: 1,
				runId: "974ff19c-fde1-4ce1-9f05-a2d663fb06c4",
				sessionId: "5c10d769-d413-4ea3-9578-4a39922c3b5f",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795363263805,
				endedAt: 1795363264711,
			},
			{
				sessionKey: "agent:main:lab-reset-then-send-mws0xgls",
				generation: 2,
				runId: "cea871c6-a46a-4145-9927-b734d76a589a",
				sessionId: "116b50da-f5b9-4a44-af12-c540055cef25",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363265996,
				endedAt: 1795363268295,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:lab-reset-then-send-mws0xgls",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["5c10d769-d413-4ea3-9578-4a39922c3b5f"],
			},
		],
		hostRowsAtOdds: 2,
	},
	// 18: the send admits ca521309. 666: its start (startedAt 665).
	// 842: the steer admits bbac5bcf (its answer comes at 945) and is no abort: nobody told ca521309 to stop.
	// 846: the end of ca521309 with aborted (startedAt 57, endedAt 845): outcome aborted, stopped by nobody, from 665 to 845.
	// 1143: its error, after it settled: duplicate.
	// 1713: the start of bbac5bcf (startedAt 1712). 3073: its end (endedAt 3072): completed, 3072 - 1712 = 1360 ms.
	// At odds: the row of 86 (active run, no status) and the row of 975 (active run, status timeout).
	"old-steer": {
		reports: { applied: 4, archived: 0, duplicate: 1, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-steer-mws0yyea",
				generation: 1,
				sessionId: "14c11e24-6f24-4d04-bf2f-4cf1cfac07a2",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363330401,
				endedAt: 1795363331761,
				runtimeMs: 1360,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-steer-mws0yyea",
				generation: 1,
				runId: "ca521309-11db-4603-a2ab-7d20814f0cc8",
				sessionId: "14c11e24-6f24-4d04-bf2f-4cf1cfac07a2",
				outcome: "aborted",
				stoppedBy: null,
				error: null,
				startedAt: 1795363329354,
				endedAt: 1795363329534,
			},
			{
				sessionKey: "agent:main:lab-steer-mws0yyea",
				generation: 1,
				runId: "bbac5bcf-36af-4806-b55a-d9db9c4b0421",
				sessionId: "14c11e24-6f24-4d04-bf2f-4cf1cfac07a2",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363330401,
				endedAt: 1795363331761,
			},
		],
		archive: [],
		hostRowsAtOdds: 2,
	},
	// plug-cycle. 120: 9826370a admitted, 973 start (962), 1679 end (1678): completed. 4177: reset to generation 2 (31b36e53).
	// 4279: 870ab555 admitted, 4645 start (4644). 5346: reset to generation 3 (54853198). 5396: its end (5395) is archived.
	// 6243: the delete ends generation 3, in which nothing ran. Its successor is hidden: no row.
	// plug-late-end. 7062: d2e54385 admitted, 7386 start (7384), 8161 reset, 8201 end (8201) archived. 9338: the plugin's
	// late end, duplicate: generation 2 stays idle although the host's row of 9369 says done.
	// plug-late-error. 26168: 056c20c1, 26473 start (26472), 27237 reset, 27280 end (27280) archived. 28403: late error, duplicate.
	// plug-late-start. 45227: e2b7c696, 45585 start (45584), 46353 reset. 46475: its error (endedAt 46474) is archived, aborted
	// by reset with the text kept. 47462: the plugin's late start of a settled run, duplicate.
	// plug-late-vs-new. 64324: d23340c4, 64766 start (64762), 65467 reset, 65522 end (65521) archived. 65584: 7305483f admitted
	// in generation 2, 65970 start (65969). 66756 and 67622: two late ends of d23340c4, duplicates. 74131: the end of 7305483f
	// (74131) with its own start: 74131 - 65969 = 8162 ms.
	// Reports: applied 3 + 1 + 1 + 1 + 3, archived one a key, duplicate 0 + 1 + 1 + 1 + 2.
	// At odds: the rows of 210, 4352, 7121, 26223, 45295, 46404, 64388 and 65691 (active run, no status).
	"old-plugin-late-harness-event": {
		reports: { applied: 9, archived: 5, duplicate: 5, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:plug-late-end",
				generation: 2,
				sessionId: "6d58e422-0387-4d65-a341-d4639b488fb4",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
			{
				sessionKey: "agent:main:plug-late-error",
				generation: 2,
				sessionId: "f5feacf6-b58b-4583-8b30-2cfbd901b232",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
			{
				sessionKey: "agent:main:plug-late-start",
				generation: 2,
				sessionId: "321e834c-3d75-45e2-8866-eda9c21282e5",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
			{
				sessionKey: "agent:main:plug-late-vs-new",
				generation: 2,
				sessionId: "30d76512-831d-4978-8879-e9cc5c3a52b8",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795365046248,
				endedAt: 1795365054410,
				runtimeMs: 8162,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:plug-cycle",
				generation: 1,
				runId: "9826370a-f983-4bd6-8a4e-9cb22559b406",
				sessionId: "59f3460c-ef82-42d7-9f29-ca9644f9fb73",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795364981241,
				endedAt: 1795364981957,
			},
			{
				sessionKey: "agent:main:plug-cycle",
				generation: 2,
				runId: "870ab555-9a63-47a4-b0d7-9bacbb8cfbdd",
				sessionId: "31b36e53-e3ce-4a01-8d0c-89725619b4c2",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795364984923,
				endedAt: 1795364985674,
			},
			{
				sessionKey: "agent:main:plug-late-end",
				generation: 1,
				runId: "d2e54385-848c-4493-a155-b23d05f4c7f2",
				sessionId: "2aef0ee4-79cf-4d6d-9992-c474049d4c56",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795364987663,
				endedAt: 1795364988480,
			},
			{
				sessionKey: "agent:main:plug-late-error",
				generation: 1,
				runId: "056c20c1-0be5-42a7-9ac6-acfb1b17b420",
				sessionId: "d7d9180e-80b9-46e9-8cd4-a0bd901635d1",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795365006751,
				endedAt: 1795365007559,
			},
			{
				sessionKey: "agent:main:plug-late-start",
				generation: 1,
				runId: "e2b7c696-b9b9-4bfd-91c0-8a8db5b8ef20",
				sessionId: "b0920e5f-e6a0-466c-893b-e46f7e743235",
				outcome: "aborted",
				stoppedBy: "reset",
				error:
					"This operation was aborted | session file changed while embedded prompt lock was released: <path>",
				startedAt: 1795365025863,
				endedAt: 1795365026753,
			},
			{
				sessionKey: "agent:main:plug-late-vs-new",
				generation: 1,
				runId: "d23340c4-3828-4fbe-9894-0151e809b76d",
				sessionId: "57207b74-7003-460b-8891-82142b3e03e3",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795365045041,
				endedAt: 1795365045800,
			},
			{
				sessionKey: "agent:main:plug-late-vs-new",
				generation: 2,
				runId: "7305483f-b34a-4a2f-8ebd-f4f2e54b7c42",
				sessionId: "30d76512-831d-4978-8879-e9cc5c3a52b8",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795365046248,
				endedAt: 1795365054410,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:plug-cycle",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["59f3460c-ef82-42d7-9f29-ca9644f9fb73"],
			},
			{
				sessionKey: "agent:main:plug-cycle",
				generation: 2,
				endedBy: "reset",
				sessionIds: ["31b36e53-e3ce-4a01-8d0c-89725619b4c2"],
			},
			{
				sessionKey: "agent:main:plug-cycle",
				generation: 3,
				endedBy: "delete",
				sessionIds: ["54853198-5531-472b-b76e-859a4051e349"],
			},
			{
				sessionKey: "agent:main:plug-late-end",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["2aef0ee4-79cf-4d6d-9992-c474049d4c56"],
			},
			{
				sessionKey: "agent:main:plug-late-error",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["d7d9180e-80b9-46e9-8cd4-a0bd901635d1"],
			},
			{
				sessionKey: "agent:main:plug-late-start",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["b0920e5f-e6a0-466c-893b-e46f7e743235"],
			},
			{
				sessionKey: "agent:main:plug-late-vs-new",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["57207b74-7003-460b-8891-82142b3e03e3"],
			},
		],
		hostRowsAtOdds: 8,
	},
};
