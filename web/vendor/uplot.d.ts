/* tallyd serves uPlot's ES module at /vendor/uplot.js. */
export { default } from "uplot";
