/* For the bundle; what serves the modules as they are gives htm's own file here. */
export * from "../node_modules/htm/preact/standalone.module.js";
