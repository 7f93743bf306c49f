/* A process's live bytes in a row of a table: the shape of the last minutes, no axes. */

import { Component, html } from "./vendor/htm-preact.js";
import { drawSparkline } from "./charts.js";
import { onTheme } from "./theme.js";

/** As .sparkline has them: asking the canvas would lay the whole table out anew for each row that comes into sight. */
const WIDTH = 60;
const HEIGHT = 18;

/** @extends {Component<{history?: import("./series.js").History}>} */
export class Sparkline extends Component {
    drawnEnd = NaN;
    forget = () => {};

    componentDidMount() {
        this.forget = /** @type {() => void} */ (onTheme(() => this.draw(true)));
        this.draw(true);
    }

    componentDidUpdate() {
        this.draw(false);
    }

    componentWillUnmount() {
        this.forget();
    }

    /** @param {boolean} anew */
    draw(anew) {
        const { history } = this.props;
        if (history && (anew || history.end !== this.drawnEnd)) {
            this.drawnEnd = history.end;
            drawSparkline(/** @type {HTMLCanvasElement} */ (this.base), history);
        }
    }

    render() {
        return html`<canvas class="sparkline" aria-hidden="true" width=${WIDTH * devicePixelRatio} height=${HEIGHT * devicePixelRatio}></canvas>`;
    }
}
