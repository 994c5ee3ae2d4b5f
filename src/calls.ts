/** Owns which part of an engine carries out which call. */
import { Commands, type UntilDrained } from "./commands.ts";
import type { Config } from "./config.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import { Entrance } from "./entrance.ts";
import { Importer } from "./import.ts";
import { Intake } from "./intake.ts";
import { Queue } from "./queue.ts";
import { Receipts } from "./receipts.ts";
import { Reports } from "./reports.ts";

/** What an engine is told by whoever has it carry out calls. */
interface CallsHost<Meta>
	extends Pick<
		EngineOptions<Meta>,
		"adopts" | "concluded" | "execute" | "interrupted" | "renewed"
	> {
	/** Instead of waiting in this process. */
	readonly untilDrained?: UntilDrained<Meta>;
}

export class Calls<Input, Output, Meta> {
	readonly engine: Engine<Meta>;
	readonly entrance = new Entrance();
	readonly receipts = new Receipts<Output>();
	readonly intake: Intake<Input, Output, Meta>;
	readonly reports: Reports<Meta>;
	readonly commands: Commands<Input, Output, Meta>;
	readonly queue: Queue<Input, Output, Meta>;
	readonly importer: Importer<Input, Output, Meta>;

	constructor(config: Config<Input, Output, Meta>, host: CallsHost<Meta>) {
		const { entrance, receipts } = this;
		const engine = new Engine<Meta>({ ...config, ...host });
		const { waiting } = engine;
		this.engine = engine;
		this.reports = new Reports(engine);
		this.intake = new Intake(engine, config, this.reports, entrance, receipts);
		this.queue = new Queue(engine, config, entrance);
		this.importer = new Importer(engine, config, entrance);
		this.commands = new Commands(
			engine,
			config,
			entrance,
			host.untilDrained ?? ((key, drain) => waiting.drained(key, drain)),
		);
	}
}
