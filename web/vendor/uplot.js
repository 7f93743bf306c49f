/* For the bundle; what serves the modules as they are gives uPlot's own file here. */
export { default } from "../node_modules/uplot/dist/uPlot.esm.js";
